/* Runs one kernel: main NAME ARGUMENT..., and prints its result as 16 hexadecimal digits. Without a name it runs
 * nothing. */

#include "kernels.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ENTRY(name) {#name, kernel_##name},
static const struct {
    const char *name;
    uint64_t (*run)(args_t);
} TABLE[] = {KERNELS(ENTRY)};

int main(int argc, char **argv) {
    static int64_t args[4];
    for (int i = 2; i < argc && i < 6; i++)
        args[i - 2] = strtoll(argv[i], NULL, 10);
    for (size_t i = 0; argc > 1 && i < sizeof TABLE / sizeof *TABLE; i++)
        if (strcmp(TABLE[i].name, argv[1]) == 0)
            printf("%016" PRIx64 "\n", TABLE[i].run(args));
    return 0;
}
