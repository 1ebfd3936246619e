/* A process's own words: a letter for its runtime, its version, its command line and its
 * environment, each ended by a newline but the last. */
#include <assert.h>
#include <string.h>

#include "runtime/aware.h"
#include "runtime/recognise.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct aware_ask asks[] = {
        {.limit = 1 << 30, .seen = 1 << 30, .machine = 24ull << 30, .threads = 9, .cpus = 4},
        {.machine = 24ull << 30, .v2 = true},
        {.limit = 1, .seen = 1, .machine = 2},
        {.limit = INT64_MAX, .machine = UINT64_MAX, .soft_limit = INT64_MAX},
    };
    struct str rest = {(const char *)data, size}, version, command;
    struct rt_id id = {.libc = RT_LIBC_GLIBC};
    char java[40];

    if (size == 0)
        return 0;
    id.kind = (enum rt_kind)(data[0] % RT_KINDS);
    rest = str_from(rest, 1);
    (void)rt_java_release(rest, java, sizeof(java));
    if (!str_cut(&rest, '\n', &version) || !str_cut(&rest, '\n', &command))
        return 0;
    (void)rt_java_version(version, java, sizeof(java));
    (void)str_copy(str_head(version, sizeof(id.version) - 1), id.version, sizeof(id.version));
    for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++) {
        struct aware a;

        aware_decide(&id, command, rest, &asks[i], &a);
        assert(memchr(a.says, 0, sizeof(a.says)) && memchr(a.mend, 0, sizeof(a.mend)));
        assert(a.word != AWARE_TOO_BIG || (a.have_bound && a.mend[0]));
        assert(a.says[0]);
    }
    return 0;
}
