#include "engine/instance.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

enum { YOUNG_MS = 3000 };

/* FNV-1a's prime and start: nobody chooses these bytes. */
static uint64_t mix(uint64_t sum, uint64_t byte) {
    return (sum ^ byte) * 1099511628211u;
}

uint64_t instance_boot(const struct host *h) {
    uint64_t sum = 14695981039346656037u;
    char buf[128];
    struct str text;

    if (file_read_at(h->proc, "sys/kernel/random/boot_id", buf, sizeof(buf), &text) < 0)
        return 0;
    for (size_t i = 0; i < text.n; i++)
        sum = mix(sum, (uint8_t)text.p[i]);
    return sum;
}

static uint64_t mix_all(uint64_t sum, uint64_t number) {
    for (unsigned shift = 0; shift < 64; shift += 8)
        sum = mix(sum, number >> shift & 0xff);
    return sum;
}

bool instance_is_new(const struct target *t) {
    return t->start_ms == 0 || clock_wall_ms() - t->start_ms < YOUNG_MS;
}

uint64_t instance_of(const struct cgfs *fs, uint64_t boot, struct str path) {
    auto_close int dir = cgfs_open_dir(fs, CG_MEMORY, path);
    uint64_t sum = boot;
    struct stat st;

    if (dir < 0 || fstat(dir, &st) < 0)
        return 0;
    sum = mix_all(sum, (uint64_t)st.st_ino);
    return sum == 0 ? 1 : sum;
}

uint64_t instance_run(const struct cgfs *fs, uint64_t boot, const struct target *t) {
    struct buf path;
    uint64_t run;

    if (t->kind != TARGET_CONTAINER)
        return 0;
    if (t->runtime != RUNTIME_PLIMSOLL)
        return t->init_ticks == 0
                   ? 0
                   : mix_all(mix_all(boot, (uint64_t)t->init_pid), t->init_ticks) | 1;
    buf_init(&path, t->path.n + sizeof(TARGET_RUN_WORK));
    buf_add(&path, t->path);
    buf_add(&path, STR(TARGET_RUN_WORK "\0"));
    run = buf_error(&path) ? 0 : instance_of(fs, boot, str_head(buf_str(&path), path.n - 1));
    buf_done(&path);
    return run;
}
