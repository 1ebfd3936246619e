#include "kern/netdev.h"

#include <errno.h>

#include "base/file.h"

/* "  eth0: 1 2 3 4 5 6 7 8 9 ...": received bytes come first, sent bytes ninth. */
static int parse_line(struct str line, struct netdev *sum) {
    uint64_t number[9];
    struct str word;

    for (unsigned i = 0; i < 9; i++) {
        int r = str_word(&line, &word) ? str_to_u64(word, &number[i]) : -EBADMSG;

        if (r < 0)
            return r;
    }
    sum->rx += number[0];
    sum->tx += number[8];
    sum->interfaces++;
    return 0;
}

int netdev_parse(struct str text, struct netdev *out) {
    struct netdev sum = {0};
    struct str line, name;

    for (unsigned i = 0; i < 2; i++) /* two lines of column heads */
        if (!str_cut(&text, '\n', &line) || str_find(line, '|') < 0)
            return -EBADMSG;
    while (str_cut(&text, '\n', &line)) {
        int r;

        if (!str_cut(&line, ':', &name))
            return -EBADMSG;
        if (str_eq(str_trim(name), STR("lo")))
            continue;
        r = parse_line(line, &sum);
        if (r < 0)
            return r;
    }
    if (text.n > 0)
        return -EBADMSG;
    *out = sum;
    return 0;
}

int netdev_read(int proc, int32_t pid, struct netdev *out) {
    char name[32], buf[65536]; /* 130 bytes a line: 500 interfaces */
    struct str text;
    int r;

    snprintf(name, sizeof(name), "%d/net/dev", pid);
    r = file_read_at(proc, name, buf, sizeof(buf), &text);
    return r < 0 ? r : netdev_parse(text, out);
}
