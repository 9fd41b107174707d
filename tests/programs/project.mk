# A small build with something to do for two jobs, and a command in each kind of recipe.
CFLAGS = -O2 -Wall

all: program list.txt

program: main.o sum.o
	$(CC) $^ -o $@

%.o: %.c sum.h
	$(CC) $(CFLAGS) -c $< -o $@

list.txt: program
	./program > $@.tmp
	nm program | awk '{ print $$NF }' | grep -c sum >> $@.tmp
	mv $@.tmp $@
