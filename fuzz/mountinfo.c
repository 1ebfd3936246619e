/* Lines of mountinfo, their octal escapes and options. */
#include "kern/mountinfo.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(struct str line) {
    struct mount_line m = {{"r", 1}, {"p", 1}, {"t", 1}, {"o", 1}};
    char name[64];

    if (mountinfo_parse_line(line, &m) < 0) {
        assert(m.root.n == 1 && m.point.n == 1 && m.type.n == 1 && m.options.n == 1);
        return;
    }
    assert(m.root.n > 0 && m.point.n > 0 && m.type.n > 0);
    assert(m.point.p > m.root.p && m.type.p > m.point.p);
    if (mountinfo_unescape(m.point, name, sizeof(name)) == 0)
        assert(strnlen(name, sizeof(name)) <= m.point.n);
    (void)mountinfo_has_option(m.options, (struct str){"memory", 6});
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str rest = {(const char *)data, size}, line;
    char name[16];

    while (str_cut(&rest, '\n', &line))
        look(line);
    look(rest);
    (void)mountinfo_unescape((struct str){(const char *)data, size}, name, size % sizeof(name));
    return 0;
}
