#include "kern/procstatm.h"

#include <errno.h>
#include <unistd.h>

#include "kern/procfile.h"

enum { WORDS = 7 }; /* size resident shared text lib data dirty; lib and dirty are 0 since 2.6 */

static int parse_pages(struct str text, uint64_t page_size, uint64_t bytes[static WORDS]) {
    struct str word;

    if (!str_drop(&text, STR("\n")))
        return -EBADMSG;
    for (unsigned i = 0; i < WORDS; i++) {
        uint64_t pages;
        int r;

        if (!str_word(&text, &word))
            return -EBADMSG;
        r = str_to_u64(word, &pages);
        if (r < 0)
            return r;
        if (__builtin_mul_overflow(pages, page_size, &bytes[i]))
            return -ERANGE;
    }
    return 0;
}

int procstatm_parse(struct str text, uint64_t page_size, struct procstatm *out) {
    uint64_t bytes[WORDS];
    int r = parse_pages(text, page_size, bytes);

    if (r < 0)
        return r;
    *out = (struct procstatm){
        .virt = bytes[0], .res = bytes[1], .shr = bytes[2], .code = bytes[3], .data = bytes[5]};
    return 0;
}

int procstatm_read(int proc, int32_t pid, struct procstatm *out) {
    char buf[256];
    struct str text;
    int r = procfile_read(proc, pid, "statm", buf, sizeof(buf), &text);

    return r < 0 ? r : procstatm_parse(text, (uint64_t)sysconf(_SC_PAGESIZE), out);
}
