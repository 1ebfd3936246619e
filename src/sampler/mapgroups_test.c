#include "sampler/mapgroups.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>

#include "base/mem.h"

#define MIB ((size_t)1 << 20)

static int open_dir(const char *path) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

static const struct mapgroup *find(const struct mapgroups *g, enum mapgroup_kind kind,
                                   const char *name) {
    for (size_t i = 0; i < g->n; i++)
        if (g->group[i].kind == kind && str_eq(mapgroups_name(g, &g->group[i]), str_of(name)))
            return &g->group[i];
    return NULL;
}

static int add(void *ctx, const struct mapping *m) {
    smaps_add(ctx, &m->smaps);
    return 0;
}

static void groups_add_up_to_the_whole(void **state) {
    auto_close int v1 = open_dir("tests/fixtures/v1/proc");
    struct smaps whole, sum;
    struct mapgroups g;

    (void)state;
    smaps_zero(&whole);
    smaps_zero(&sum);
    assert_int_equal(smaps_each(v1, 10569, add, &whole), 0);
    assert_int_equal(mapgroups_read(&g, v1, 10569, false), 0);
    for (size_t i = 0; i < g.n; i++)
        smaps_add(&sum, &g.group[i].sum);
    assert_memory_equal(&sum, &whole, sizeof(sum));
    assert_memory_equal(&g.total.sum, &whole, sizeof(whole));
    assert_int_equal(g.total.size, whole.value[SMAPS_SIZE]);
    assert_int_equal(g.total.mappings, 113);
    assert_true(g.n < 60);
    assert_non_null(find(&g, MAPGROUP_HEAP, "[heap]"));
    assert_int_equal(find(&g, MAPGROUP_STACK, "[stack]")->mappings, 1);
    assert_true(find(&g, MAPGROUP_ANON, "[anon]")->mappings > 3);
    mapgroups_done(&g);
    assert_int_equal(mapgroups_read(&g, v1, 10569, true), 0);
    assert_int_equal(g.n, g.total.mappings);
    assert_int_equal(g.total.size, whole.value[SMAPS_SIZE]);
    mapgroups_done(&g);
}

static struct mapping mapping(uint64_t start, uint64_t size, const char *path, uint64_t rss) {
    struct mapping m = {.start = start, .end = start + size, .perms = "rw-p", .path = str_of(path)};

    m.deleted = str_drop(&m.path, STR(" (deleted)"));
    m.smaps.value[SMAPS_RSS] = rss;
    m.smaps.have = 1U << SMAPS_RSS;
    return m;
}

static void kind_is(struct mapping m, enum mapgroup_kind kind, const char *name, bool deleted) {
    struct mapgroups g = {0};

    buf_init(&g.names, 4096);
    assert_int_equal(mapgroups_add(&g, &m), 0);
    assert_int_equal(g.group[0].kind, kind);
    assert_true(str_eq(mapgroups_name(&g, &g.group[0]), str_of(name)));
    assert_int_equal(g.group[0].deleted, deleted);
    mapgroups_done(&g);
}

static void backings_are_told_apart(void **state) {
    struct mapping m = mapping(0, 4096, "/SYSV0000002a (deleted)", 0);

    (void)state;
    m.inode = 17;
    kind_is(m, MAPGROUP_SYSV, "SysV shm 0x0000002a id 17", false);
    kind_is(mapping(0, 1, "/memfd:a b (deleted)", 0), MAPGROUP_MEMFD, "memfd:a b", false);
    kind_is(mapping(0, 1, "/dev/zero (deleted)", 0), MAPGROUP_SHARED, "[shared anon]", false);
    kind_is(mapping(0, 1, "[anon_shmem:x]", 0), MAPGROUP_SHARED, "[anon_shmem:x]", false);
    kind_is(mapping(0, 1, "[anon:x]", 0), MAPGROUP_ANON, "[anon:x]", false);
    kind_is(mapping(0, 1, "", 0), MAPGROUP_ANON, "[anon]", false);
    kind_is(mapping(0, 1, "[stack:77]", 0), MAPGROUP_STACK, "[stack:77]", false);
    kind_is(mapping(0, 1, "[vvar_vclock]", 0), MAPGROUP_KERNEL, "[vvar_vclock]", false);
    kind_is(mapping(0, 1, "/anon_hugepage (deleted)", 0), MAPGROUP_HUGETLB, "[hugetlb anon]",
            false);
    kind_is(mapping(0, 1, "/dev/shm/x", 0), MAPGROUP_FILE, "/dev/shm/x", false);
    kind_is(mapping(0, 1, "/tmp/x (deleted)", 0), MAPGROUP_FILE, "/tmp/x", true);
    kind_is(mapping(0, 1, "anon_inode:[x]", 0), MAPGROUP_FILE, "anon_inode:[x]", false);
    /* A real file that bears such a name is a file: it lies on a device. */
    m = mapping(0, 1, "/memfd:x (deleted)", 0);
    m.dev_major = 8;
    kind_is(m, MAPGROUP_FILE, "/memfd:x", true);
    m = mapping(0, 1, "/long", 0);
    m.path_cut = true;
    kind_is(m, MAPGROUP_FILE, "/long...", false);
}

/* More names than the table has room for at first; each twice. */
static void many_names_stay_apart(void **state) {
    struct mapgroups g = {0};

    (void)state;
    buf_init(&g.names, (size_t)1 << 20);
    smaps_zero(&g.total.sum);
    for (unsigned i = 0; i < 10000; i++) {
        char path[32];

        snprintf(path, sizeof(path), "/f%u", i % 5000);
        struct mapping m = mapping(i * 4096UL, 4096, path, 4096);

        assert_int_equal(mapgroups_add(&g, &m), 0);
    }
    assert_int_equal(g.n, 5000);
    for (size_t i = 0; i < g.n; i++)
        assert_int_equal(g.group[i].sum.value[SMAPS_RSS], 8192);
    assert_int_equal(g.total.sum.value[SMAPS_RSS], 10000 * 4096);
    mapgroups_done(&g);
}

/* Who names mappings cannot know where the names come to lie: two tables of the same names never
 * are in the same order. */
static void places_cannot_be_foretold(void **state) {
    struct mapgroups g[2] = {{0}};

    (void)state;
    for (unsigned side = 0; side < 2; side++) {
        buf_init(&g[side].names, 4096);
        smaps_zero(&g[side].total.sum);
        for (unsigned i = 0; i < 50; i++) {
            char path[32];

            snprintf(path, sizeof(path), "/f%u", i);
            struct mapping m = mapping(i * 4096UL, 4096, path, 4096);

            assert_int_equal(mapgroups_add(&g[side], &m), 0);
        }
    }
    assert_int_equal(g[0].slots, g[1].slots);
    assert_memory_not_equal(g[0].slot, g[1].slot, g[0].slots * sizeof(*g[0].slot));
    mapgroups_done(&g[0]);
    mapgroups_done(&g[1]);
}

static int64_t growth_of(const struct mapgrowth *growth, size_t n, const struct mapgroups *g,
                         const char *name, const struct mapgrowth **found) {
    for (size_t i = 0; i < n; i++) {
        const struct mapgroup *group = growth[i].after;
        int64_t value;

        if (!group || !str_eq(mapgroups_name(g, group), str_of(name)))
            continue;
        *found = &growth[i];
        assert_true(mapgrowth_cost(&growth[i], &value));
        return value;
    }
    fail_msg("no group %s", name);
    return 0;
}

/* We map a memfd and a shared segment, and touch more of our anonymous memory, between two looks.
 */
static void growth_is_told_by_group(void **state) {
    auto_close int proc = open_dir("/proc");
    auto_close int memfd = memfd_create("grows", MFD_CLOEXEC);
    struct mapgroups before, after;
    struct mapgrowth *growth;
    const struct mapgrowth *found = NULL;
    char *anon = mmap(NULL, 16 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *shared, *segment;
    int64_t grown;
    size_t n;
    int id;

    (void)state;
    assert_true((void *)anon != MAP_FAILED);
    assert_int_equal(madvise(anon, 16 * MIB, MADV_NOHUGEPAGE), 0);
    assert_int_equal(mapgroups_read(&before, proc, getpid(), false), 0);
    memset(anon, 1, 8 * MIB);
    assert_int_equal(ftruncate(memfd, 4 * MIB), 0);
    shared = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
    assert_true((void *)shared != MAP_FAILED);
    memset(shared, 1, 2 * MIB);
    id = shmget(IPC_PRIVATE, MIB, IPC_CREAT | 0600);
    assert_true(id >= 0);
    segment = shmat(id, NULL, 0);
    assert_true((void *)segment != (void *)-1);
    assert_int_equal(shmctl(id, IPC_RMID, NULL), 0);
    memset(segment, 1, MIB);
    assert_int_equal(mapgroups_read(&after, proc, getpid(), false), 0);
    assert_int_equal(mapgroups_diff(&before, &after, &growth, &n), 0);

    grown = growth_of(growth, n, &after, "[anon]", &found);
    assert_in_range(grown, 8 * MIB, 9 * MIB);
    assert_non_null(found->before);
    grown = growth_of(growth, n, &after, "memfd:grows", &found);
    assert_int_equal(grown, 2 * MIB);
    assert_null(found->before);
    assert_int_equal(found->after->kind, MAPGROUP_MEMFD);
    free(growth);
    /* And backwards: what is new one way is gone the other way. */
    assert_int_equal(mapgroups_diff(&after, &before, &growth, &n), 0);
    grown = 0;
    for (size_t i = 0; i < n; i++)
        if (!growth[i].after && growth[i].before->kind == MAPGROUP_SYSV)
            assert_true(mapgrowth_cost(&growth[i], &grown));
    assert_int_equal(grown, -(int64_t)MIB);
    free(growth);
    munmap(anon, 16 * MIB);
    munmap(shared, 4 * MIB);
    shmdt(segment);
    mapgroups_done(&before);
    mapgroups_done(&after);
}

static void single_mappings_are_paired_where_they_overlap(void **state) {
    struct mapgroups before = {.each = true}, after = {.each = true};
    struct mapping old[] = {mapping(0x1000, 0x1000, "[heap]", 4096),
                            mapping(0x9000, 0x2000, "", 4096), mapping(0xf000, 0x1000, "/x", 4096)};
    struct mapping new[] = {mapping(0x1000, 0x3000, "[heap]", 12288),
                            mapping(0x8000, 0x3000, "", 8192), mapping(0xf000, 0x1000, "/y", 4096)};
    struct mapgrowth *growth;
    int64_t value;
    size_t n;

    (void)state;
    buf_init(&before.names, 4096);
    buf_init(&after.names, 4096);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(mapgroups_add(&before, &old[i]), 0);
        assert_int_equal(mapgroups_add(&after, &new[i]), 0);
    }
    assert_int_equal(mapgroups_diff(&before, &after, &growth, &n), 0);
    assert_int_equal(n, 4);
    assert_ptr_equal(growth[0].before, &before.group[0]); /* grew upwards */
    assert_true(mapgrowth_cost(&growth[0], &value) && value == 8192);
    assert_ptr_equal(growth[1].before, &before.group[1]); /* downwards */
    assert_null(growth[2].before);                        /* another file at the same place */
    assert_null(growth[3].after);
    assert_ptr_equal(growth[3].before, &before.group[2]);
    free(growth);
    mapgroups_done(&before);
    mapgroups_done(&after);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_add_up_to_the_whole),
        cmocka_unit_test(backings_are_told_apart),
        cmocka_unit_test(many_names_stay_apart),
        cmocka_unit_test(places_cannot_be_foretold),
        cmocka_unit_test(growth_is_told_by_group),
        cmocka_unit_test(single_mappings_are_paired_where_they_overlap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
