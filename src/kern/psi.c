#include "kern/psi.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

/* "12.34" to 1234. */
static int centi_of(struct str text, uint64_t *out) {
    struct str whole;
    uint64_t percent, hundredths;
    int r;

    if (!str_cut(&text, '.', &whole) || text.n != 2)
        return -EBADMSG;
    r = str_to_u64(whole, &percent);
    if (r == 0)
        r = str_to_u64(text, &hundredths);
    if (r != 0)
        return r;
    if (percent > 1000000)
        return -ERANGE;
    *out = percent * 100 + hundredths;
    return 0;
}

static int parse_line(struct str rest, struct psi_line *out) {
    struct psi_line line = {0};
    struct str word, key;
    unsigned seen = 0;

    while (str_word(&rest, &word)) {
        int r = 0;

        if (!str_cut(&word, '=', &key))
            return -EBADMSG;
        if (str_eq(key, STR("avg10")))
            r = centi_of(word, &line.avg10);
        else if (str_eq(key, STR("avg60")))
            r = centi_of(word, &line.avg60);
        else if (str_eq(key, STR("avg300")))
            r = centi_of(word, &line.avg300);
        else if (str_eq(key, STR("total")))
            r = str_to_u64(word, &line.total_us);
        else
            continue;
        if (r < 0)
            return r;
        seen++;
    }
    if (seen != 4)
        return -EBADMSG;
    *out = line;
    return 0;
}

int psi_parse(struct str text, struct psi *out) {
    struct psi psi = {0};
    struct str line;

    while (str_cut(&text, '\n', &line)) {
        int r = 0;

        if (str_skip(&line, STR("some ")))
            r = parse_line(line, &psi.some), psi.have_some = true;
        else if (str_skip(&line, STR("full ")))
            r = parse_line(line, &psi.full), psi.have_full = true;
        if (r < 0)
            return r;
    }
    if (text.n > 0 || !psi.have_some)
        return -EBADMSG;
    *out = psi;
    return 0;
}

int psi_read_at(int dir, const char *name, struct psi *out) {
    char buf[512];
    struct str text;
    int r = file_read_at(dir, name, buf, sizeof(buf), &text);

    return r < 0 ? r : psi_parse(text, out);
}

int psi_watch_at(int dir, const char *name) {
    static const char *const triggers[] = {"some 50000 500000", "some 200000 2000000"};
    int r = -EOPNOTSUPP;

    for (size_t i = 0; i < ARRAY_N(triggers); i++) {
        auto_close int fd = openat(dir, name, O_RDWR | O_CLOEXEC | O_NONBLOCK);

        if (fd < 0)
            return errno == ENOENT ? -EOPNOTSUPP : -errno;
        if (write(fd, triggers[i], strlen(triggers[i]) + 1) >= 0)
            return take_fd(&fd);
        r = -errno;
    }
    return r;
}
