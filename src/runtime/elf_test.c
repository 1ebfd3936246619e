#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "base/basetest.h"
#include "base/mem.h"
#include "runtime/elf.h"

/* An executable in memory: one loaded segment at 0x400000 that is the whole file. */
enum { SIZE = 8192, BASE = 0x400000, SECTIONS_AT = 4096, NAMES_AT = 7000 };

struct image {
    char bytes[SIZE];
    unsigned sections;
};

static void put(struct image *m, size_t at, const void *data, size_t n) {
    assert_true(at + n <= SIZE);
    memcpy(m->bytes + at, data, n);
}

static void start(struct image *m) {
    Elf64_Ehdr h = {.e_type = ET_EXEC,
                    .e_machine = EM_X86_64,
                    .e_phoff = sizeof(h),
                    .e_phentsize = sizeof(Elf64_Phdr),
                    .e_phnum = 1,
                    .e_shoff = SECTIONS_AT,
                    .e_shentsize = sizeof(Elf64_Shdr),
                    .e_shstrndx = 1};
    Elf64_Phdr p = {.p_type = PT_LOAD, .p_flags = PF_R | PF_W, .p_vaddr = BASE, .p_filesz = SIZE};

    memset(m, 0, sizeof(*m));
    memcpy(h.e_ident, ELFMAG, SELFMAG);
    h.e_ident[EI_CLASS] = ELFCLASS64;
    h.e_ident[EI_DATA] = ELFDATA2LSB;
    put(m, 0, &h, sizeof(h));
    put(m, sizeof(h), &p, sizeof(p));
}

static void section(struct image *m, const char *name, uint32_t type, uint64_t offset,
                    uint64_t size, uint64_t entsize) {
    static size_t next;
    Elf64_Shdr s = {.sh_type = type,
                    .sh_addr = BASE + offset,
                    .sh_offset = offset,
                    .sh_size = size,
                    .sh_entsize = entsize};
    uint16_t n;

    if (m->sections == 0) {
        Elf64_Shdr names = {.sh_type = SHT_STRTAB, .sh_offset = NAMES_AT, .sh_size = 1000};

        put(m, SECTIONS_AT + sizeof(s), &names, sizeof(names));
        m->sections = 2;
        next = 1;
    }
    s.sh_name = (uint32_t)next;
    put(m, NAMES_AT + next, name, strlen(name) + 1);
    next += strlen(name) + 1;
    put(m, SECTIONS_AT + m->sections * sizeof(s), &s, sizeof(s));
    n = (uint16_t)++m->sections;
    put(m, offsetof(Elf64_Ehdr, e_shnum), &n, sizeof(n));
}

static int file_of(const void *bytes, size_t n) {
    int fd = memfd_create("elf", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    return fd;
}

static int open_image(const struct image *m, struct elf *e) {
    int fd = file_of(m->bytes, SIZE);

    assert_int_equal(elf_open(fd, e), 0);
    return fd;
}

static void our_own_program_is_read(void **state) {
    auto_close int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct elf_symbol symbol[] = {{"main", 0, 0}, {"no_such_symbol", 0, 0}};
    char id[64], version[40];
    struct elf_section s;
    struct elf e;

    (void)state;
    assert_int_equal(elf_open(fd, &e), 0);
    assert_true(e.is_dynamic);
    assert_non_null(strstr(e.interp, "ld-"));
    assert_int_equal(elf_section(&e, ".rodata", &s), 0);
    assert_int_equal(elf_section(&e, ".no-such", &s), -ENOENT);
    assert_int_equal(elf_symbols(&e, symbol, 2), 0);
    assert_true(symbol[0].value != 0 && symbol[1].value == 0);
    assert_int_equal(elf_note(&e, "GNU", NT_GNU_BUILD_ID, id, sizeof(id)), 20);
    assert_int_equal(elf_go_version(&e, version, sizeof(version)), -ENOENT);
}

/* The dynamic linker finds the same: by hash, and by the whole table. */
static void what_libc_exports_is_found_by_its_hash(void **state) {
    auto_close int fd = -1;
    struct elf_symbol symbol[] = {{"malloc_trim", 0, 0}, {"mallopt", 0, 0}, {"mallctl", 0, 0}};
    struct elf_symbol slow[] = {{"malloc_trim", 0, 0}, {"mallopt", 0, 0}, {"mallctl", 0, 0}};
    struct elf e;

    (void)state;
    fd = open("/lib/x86_64-linux-gnu/libc.so.6", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        skip();
    assert_int_equal(elf_open(fd, &e), 0);
    assert_int_equal(elf_exports(&e, symbol, 3), 0);
    assert_int_equal(elf_symbols(&e, slow, 3), 0);
    for (int i = 0; i < 2; i++)
        assert_true(symbol[i].value != 0 && symbol[i].value == slow[i].value);
    assert_true(symbol[2].value == 0 && slow[2].value == 0);
}

/* Of a program that has no hash of its symbols the tables are looked through, small ones alone. */
static void enormous_tables_are_not_searched(void **state) {
    struct elf_symbol symbol[] = {{"main", 0, 0}};

    (void)state;
    for (int big = 0; big < 2; big++) {
        uint64_t symbols = big ? 4000000 * 24ull : 48, names = big ? 128 << 20 : 64;
        struct image m;
        struct elf e;

        start(&m);
        section(&m, ".dynsym", SHT_DYNSYM, 512, symbols, 24);
        section(&m, ".dynstr", SHT_STRTAB, 1024, names, 0);
        auto_close int fd = open_image(&m, &e);
        assert_int_equal(elf_exports(&e, symbol, 1), big ? -EFBIG : 0);
        assert_int_equal(elf_symbols_within(&e, 8 << 20, symbol, 1), big ? -EFBIG : 0);
    }
}

static void go_says_its_version_inline(void **state) {
    static const char info[] = "\xff Go buildinf:\x08\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
                               "\x08go1.19.8\x00";
    char version[40];
    struct image m;
    struct elf e;

    (void)state;
    for (int named = 0; named < 2; named++) {
        start(&m);
        put(&m, 512, info, sizeof(info));
        if (named)
            section(&m, ".go.buildinfo", SHT_PROGBITS, 512, 256, 0);
        auto_close int fd = open_image(&m, &e);
        assert_int_equal(elf_go_version(&e, version, sizeof(version)), 0);
        assert_string_equal(version, "1.19.8");
    }
}

static void go_said_its_version_by_pointers(void **state) {
    uint64_t header = BASE + 640, text = BASE + 700, length = 8, zero = 0;
    Elf64_Rela rela = {.r_offset = BASE + 640, .r_addend = BASE + 700};
    char version[40];
    struct image m;
    struct elf e;

    (void)state;
    for (int moved = 0; moved < 2; moved++) {
        start(&m);
        put(&m, 512, "\xff Go buildinf:\x08\x00", 16);
        put(&m, 528, &header, 8);
        put(&m, 640, moved ? &zero : &text, 8); /* position-independent: in a relocation */
        put(&m, 648, &length, 8);
        put(&m, 700, "go1.17.3XXX", 11);
        put(&m, 800, &rela, sizeof(rela));
        section(&m, ".go.buildinfo", SHT_PROGBITS, 512, 64, 0);
        section(&m, ".rela.dyn", SHT_RELA, 800, sizeof(rela), sizeof(rela));
        auto_close int fd = open_image(&m, &e);
        assert_int_equal(elf_go_version(&e, version, sizeof(version)), 0);
        assert_string_equal(version, "1.17.3");
    }
}

static void odd_go_versions_are_refused(void **state) {
    static const char *const texts[] = {"\x08gone1.19", "\x03go ", "\x00", "\xff", "\x04go\x1b["};
    char version[40];
    struct image m;
    struct elf e;

    (void)state;
    for (size_t i = 0; i < ARRAY_N(texts); i++) {
        start(&m);
        put(&m, 512, "\xff Go buildinf:\x08\x02", 16);
        put(&m, 544, texts[i], strlen(texts[i]));
        auto_close int fd = open_image(&m, &e);
        assert_true(elf_go_version(&e, version, sizeof(version)) != 0 ||
                    strcmp(version, "ne1.19") == 0);
    }
}

static void notes_are_found_by_owner_and_type(void **state) {
    Elf64_Phdr p = {.p_type = PT_NOTE, .p_offset = 512, .p_filesz = 64};
    uint32_t note[] = {4, 5, 9, 0, 0, 0}, other[] = {3, 6, 4, 0, 0, 0};
    char out[16];
    struct image m;
    struct elf e;

    (void)state;
    start(&m);
    memcpy(&note[3], "GNU", 4);
    memcpy(&note[4], "first", 5);
    memcpy(&other[3], "Go", 3);
    memcpy(&other[4], "second", 6);
    put(&m, 512, note, sizeof(note));
    put(&m, 536, other, sizeof(other));
    put(&m, sizeof(Elf64_Ehdr), &p, sizeof(p));
    auto_close int fd = open_image(&m, &e);
    assert_int_equal(elf_note(&e, "Go", 4, out, sizeof(out)), 6);
    assert_memory_equal(out, "second", 6);
    assert_int_equal(elf_note(&e, "GNU", 9, out, sizeof(out)), 5);
    assert_int_equal(elf_note(&e, "GNU", 3, out, sizeof(out)), -ENOENT);
    assert_int_equal(elf_note(&e, "Go", 4, out, 5), -EFBIG);
}

struct seen {
    size_t n;
    size_t before[8], from[8];
};

static int see(void *ctx, struct str before, struct str from) {
    struct seen *s = ctx;

    assert_true(str_starts(from, STR("needle")));
    s->before[s->n] = before.n;
    s->from[s->n++] = from.n;
    return s->n == 8;
}

/* Also across the seams of the pieces it reads, each once. */
static void a_section_is_searched_whole(void **state) {
    static char big[200000];
    static const size_t places[] = {4096, 65536 + 4096 - 3, 65536 * 2 + 4096, 199994};
    struct elf_section s = {.type = SHT_PROGBITS, .offset = 4096, .size = sizeof(big) - 4096};
    struct seen seen = {.n = 0};
    struct image m;
    struct elf e;

    (void)state;
    start(&m);
    memcpy(big, m.bytes, 4096);
    for (size_t i = 0; i < ARRAY_N(places); i++)
        memcpy(big + places[i], "needle", 6);
    auto_close int fd = file_of(big, sizeof(big));
    assert_int_equal(elf_open(fd, &e), 0);
    assert_int_equal(elf_search(&e, &s, STR("needle"), 1 << 20, see, &seen), 0);
    assert_int_equal(seen.n, ARRAY_N(places));
    assert_int_equal(seen.before[0], 0);
    assert_int_equal(seen.before[1], 64);
    assert_int_equal(seen.from[3], 6);
    seen.n = 0;
    assert_int_equal(elf_search(&e, &s, STR("needle"), 65536, see, &seen), 0);
    assert_int_equal(seen.n, 1);
    s.size = UINT64_MAX;
    assert_int_equal(elf_search(&e, &s, STR("needle"), UINT64_MAX, see, &seen), -EBADMSG);
}

static void what_is_no_program_is_refused(void **state) {
    struct image m;
    struct elf e;
    Elf64_Ehdr h;

    (void)state;
    for (int kind = 0; kind < 6; kind++) {
        start(&m);
        memcpy(&h, m.bytes, sizeof(h));
        if (kind == 0)
            h.e_ident[EI_CLASS] = ELFCLASS32;
        if (kind == 1)
            h.e_ident[EI_DATA] = ELFDATA2MSB;
        if (kind == 2)
            h.e_type = ET_CORE;
        if (kind == 3)
            h.e_phnum = 0xffff;
        if (kind == 4)
            h.e_phoff = UINT64_MAX - 3;
        if (kind == 5)
            h.e_phentsize = 1;
        put(&m, 0, &h, sizeof(h));
        auto_close int fd = file_of(m.bytes, SIZE);
        assert_int_equal(elf_open(fd, &e), kind < 3 ? -ENOEXEC : -EBADMSG);
    }
    auto_close int fd = file_of("#!/bin/sh\n", 10);
    assert_int_equal(elf_open(fd, &e), -ENOEXEC);
}

/* Whatever stands in it: an answer, no crash, no endless walk. */
static void random_programs_do_no_harm(void **state) {
    struct basetest_random r = {42};
    struct elf_symbol symbol[] = {{"main", 0, 0}, {"mallctl", 0, 0}};
    struct image m;

    (void)state;
    for (int round = 0; round < 300; round++) {
        char out[64];
        struct elf e;

        start(&m);
        section(&m, ".dynsym", SHT_DYNSYM, 1024, 480, 24);
        section(&m, ".dynstr", SHT_STRTAB, 1600, 100, 0);
        section(&m, ".gnu.hash", SHT_PROGBITS, 1800, 200, 0);
        section(&m, ".go.buildinfo", SHT_PROGBITS, 512, 64, 0);
        put(&m, 512, "\xff Go buildinf:\x08\x02", 16);
        for (int i = 0; i < 60; i++)
            m.bytes[64 + basetest_next(&r) % (SIZE - 64)] = (char)basetest_next(&r);
        for (int i = 1024; i < 2000; i++)
            m.bytes[i] = (char)basetest_next(&r);
        auto_close int fd = file_of(m.bytes, SIZE - basetest_next(&r) % 2000);
        if (elf_open(fd, &e) < 0)
            continue;
        (void)elf_exports(&e, symbol, 2);
        (void)elf_symbols(&e, symbol, 2);
        (void)elf_go_version(&e, out, sizeof(out));
        (void)elf_note(&e, "Go", 4, out, sizeof(out));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_own_program_is_read),
        cmocka_unit_test(what_libc_exports_is_found_by_its_hash),
        cmocka_unit_test(go_says_its_version_inline),
        cmocka_unit_test(go_said_its_version_by_pointers),
        cmocka_unit_test(odd_go_versions_are_refused),
        cmocka_unit_test(enormous_tables_are_not_searched),
        cmocka_unit_test(notes_are_found_by_owner_and_type),
        cmocka_unit_test(a_section_is_searched_whole),
        cmocka_unit_test(what_is_no_program_is_refused),
        cmocka_unit_test(random_programs_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
