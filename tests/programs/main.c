#include <stdio.h>

#include "sum.h"

int main(void)
{
	return printf("%ld\n", sum(100)) == 5 ? 0 : 1;
}
