/* stat, statm and the boot time: texts of /proc that hold numbers in fixed places. */
#include <assert.h>
#include <string.h>

#include "kern/procstat.h"
#include "kern/procstatm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str text = {(const char *)data, size};
    struct procstat s, untouched;
    struct procstatm m;
    int64_t boot;

    memset(&s, 0xa5, sizeof(s));
    untouched = s;
    if (procstat_parse(text, &s) < 0) {
        assert(memcmp(&s, &untouched, sizeof(s)) == 0);
    } else {
        assert(s.comm_n < sizeof(s.comm) && s.comm[s.comm_n] == '\0');
        assert(memchr(s.comm, '\0', sizeof(s.comm)) == s.comm + s.comm_n);
        assert(s.pid >= 0 && s.ppid >= 0);
        (void)procstat_start_ms(&s, 1763712000);
    }
    (void)procstatm_parse(text, 4096, &m);
    (void)procstat_parse_boot(text, &boot);
    return 0;
}
