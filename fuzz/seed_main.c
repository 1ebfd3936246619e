/* Runs every file of the corpus folders it is given through a fuzz target once: TAP, a line a seed.
 * A seed that crashes is the one named in the last "# " line.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int no_dot_files(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

/* The input is copied to a block of exactly its size, so that a sanitizer sees the first byte read
 * past its end. */
static int run_file(const char *path) {
    static uint8_t buf[4 << 20];
    FILE *file = fopen(path, "rbe");
    size_t size;
    uint8_t *exact;

    if (!file)
        return -1;
    size = fread(buf, 1, sizeof(buf), file);
    if (ferror(file) || size == sizeof(buf)) {
        fclose(file);
        return -1;
    }
    fclose(file);
    exact = malloc(size ? size : 1);
    if (!exact)
        return -1;
    memcpy(exact, buf, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return 0;
}

/* Returns how many seeds FOLDER has, or -1 when it cannot be listed. */
static int run_folder(const char *folder, int done, int *bad) {
    struct dirent **entry;
    int n = scandir(folder, &entry, no_dot_files, alphasort);

    for (int i = 0; i < n; i++) {
        char path[4096];
        int length = snprintf(path, sizeof(path), "%s/%s", folder, entry[i]->d_name);
        int r;

        printf("# %s\n", path);
        fflush(stdout);
        r = length < (int)sizeof(path) ? run_file(path) : -1;
        printf("%s %d - %s\n", r == 0 ? "ok" : "not ok", done + i + 1, entry[i]->d_name);
        *bad += r != 0;
        free(entry[i]);
    }
    if (n >= 0)
        free(entry);
    return n;
}

int main(int argc, char **argv) {
    int total = 0, bad = 0;

    for (int i = 1; i < argc; i++) {
        int n = run_folder(argv[i], total, &bad);

        if (n <= 0) {
            printf("Bail out! no seeds in %s\n", argv[i]);
            return 1;
        }
        total += n;
    }
    printf("1..%d\n", total);
    return bad > 0 || total == 0;
}
