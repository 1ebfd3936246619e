/* Stands in for the launcher of a JDK 8: maps the libjvm.so that lies where a JDK 8 has it, beside
 * itself, and waits. What looks at it from outside sees a JVM; there is none. */
#include <dlfcn.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
    char self[PATH_MAX], library[PATH_MAX + 64];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (n < 0)
        return 1;
    self[n] = '\0';
    snprintf(library, sizeof(library), "%s/../jre/lib/amd64/server/libjvm.so", dirname(self));
    if (!dlopen(library, RTLD_NOW)) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    printf("ready\n");
    fflush(stdout);
    for (int i = 0; i < 60; i++) {
        char byte;

        if (read(STDIN_FILENO, &byte, 1) <= 0)
            return 0;
    }
    return 0;
}
