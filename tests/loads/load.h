/* load.h - programs with a known memory footprint: the subjects of the system tests.
 *
 * One program, one sub-command a kind of memory. It joins the cgroups it is told to, builds its
 * load, prints "ready" and holds it until its standard input closes, SIGTERM comes or its time
 * is over. Sizes are bounded, children die with their parent, files are removed again.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define LOAD_MIB ((size_t)1 << 20)
#define LOAD_MAX_BYTES (250 * LOAD_MIB)

/* What the command line said. `scratch` is a directory on a disk file system. */
struct load_args {
    uint64_t amount; /* MiB or a count, as the sub-command's synopsis says */
    const char *scratch;
    const char *word; /* the optional second argument */
    int data_fd;      /* a prepared file of the wanted size, out of the page cache; or -1 */
};

enum load_unit { LOAD_UNIT_MIB, LOAD_UNIT_COUNT };

struct load {
    const char *name;
    const char *brief;
    enum load_unit unit;
    bool needs_file; /* a file is made before the cgroup is joined, so that its maker pays */
    int (*run)(const struct load_args *args); /* 0 or a negative errno; the load then stands */
};

extern const struct load load_memory[];  /* anonymous and shared memory */
extern const struct load load_file[];    /* page cache */
extern const struct load load_kernel[];  /* memory the kernel holds for a process */
extern const struct load load_process[]; /* process trees, names, threads, descriptors */

/* Maps `size` bytes of private anonymous memory and writes to every page. NULL when refused. */
char *load_anon(size_t size);

/* Writes one byte in every page, or reads one from every page. */
void load_touch(char *at, size_t size);
void load_scan(const char *at, size_t size);

/* Forks `count` children that run `body`, print "pid N" for each, and then sleep until this
 * process ends. Returns when every child has finished its body. 0 or a negative errno. */
int load_children(unsigned count, void (*body)(unsigned index, void *data), void *data);
