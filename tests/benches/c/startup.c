/* startup ROUNDS TRIVIAL COMMAND FILE: runs `TRIVIAL` and `COMMAND run FILE` in turns, and prints a line for each round:
 * for either process the nanoseconds from its creation to its end, its processor time in microseconds, and the most
 * memory that it had resident, in KiB. It is a program of its own because a new process counts as its own the resident
 * memory of the process that it was split from. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static long now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000L + t.tv_nsec;
}

static long micros(struct timeval t) {
    return t.tv_sec * 1000000L + t.tv_usec;
}

static void run(char **args, const posix_spawn_file_actions_t *silent) {
    pid_t child;
    int status;
    struct rusage usage;
    long start = now();
    if (posix_spawn(&child, args[0], silent, NULL, args, environ) != 0 || wait4(child, &status, 0, &usage) != child ||
        status != 0) {
        fprintf(stderr, "%s fails\n", args[0]);
        exit(1);
    }
    printf("%ld %ld %ld ", now() - start, micros(usage.ru_utime) + micros(usage.ru_stime), usage.ru_maxrss);
}

int main(int argc, char **argv) {
    if (argc != 5)
        return 2;
    char *trivial[] = {argv[2], NULL}, *command[] = {argv[3], "run", argv[4], NULL};
    posix_spawn_file_actions_t silent;
    posix_spawn_file_actions_init(&silent);
    posix_spawn_file_actions_addopen(&silent, 1, "/dev/null", O_WRONLY, 0);
    for (long rounds = atol(argv[1]); rounds > 0; rounds--) {
        run(trivial, &silent);
        run(command, &silent);
        printf("\n");
    }
    return 0;
}
