#include "sum.h"

long sum(int to)
{
	long total = 0;

	for (int i = 1; i <= to; i++)
		total += i;
	return total;
}
