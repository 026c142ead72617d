/* The program that the start-up of the command is compared with. */

#include <stdio.h>

int main(void) {
    volatile long answer = 42;
    printf("%ld\n", answer);
    return 0;
}
