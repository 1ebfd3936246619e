#include "runtime/nodeoptions.h"

#include "base/mem.h"

/* "9333", "127.0.0.1:9333", "[::1]:9333"; a host alone leaves the port as it was. */
static void take_port(struct str value, struct node_options *out) {
    ptrdiff_t colon = str_rfind(value, ':');
    uint64_t port;

    if (colon >= 0)
        value = str_from(value, (size_t)colon + 1);
    if (str_to_u64(value, &port) == 0 && port <= 65535)
        out->port = (uint16_t)port;
}

bool node_option_takes_word(struct str option) {
    static const char *const names[] = {
        "-r",
        "--require",
        "--import",
        "-e",
        "--eval",
        "-p",
        "--print",
        "-pe",
        "-C",
        "--conditions",
        "--loader",
        "--experimental-loader",
        "--title",
        "--env-file",
        "--env-file-if-exists",
        "--input-type",
        "--icu-data-dir",
        "--openssl-config",
        "--tls-cipher-list",
        "--diagnostic-dir",
        "--redirect-warnings",
        "--unhandled-rejections",
        "--disable-warning",
        "--dns-result-order",
        "--max-http-header-size",
        "--heapsnapshot-signal",
        "--heapsnapshot-near-heap-limit",
        "--trace-event-categories",
        "--watch-path",
    };

    for (size_t i = 0; i < ARRAY_N(names); i++)
        if (str_eq(option, str_of(names[i])))
            return true;
    return false;
}

struct reader {
    struct node_options *out;
    bool port_next, word_next;
};

/* Whether options may go on behind this word. */
static bool take_word(struct reader *r, struct str word) {
    static const char *const names[] = {"--inspect", "--inspect-brk", "--inspect-wait",
                                        "--inspect-port", "--debug-port"};
    struct str value = word, name = word;

    if (r->port_next || r->word_next) {
        if (r->port_next)
            take_port(word, r->out);
        r->port_next = r->word_next = false;
        return true;
    }
    if (!str_starts(word, STR("-")) || str_eq(word, STR("--")))
        return false;
    if (str_eq(word, STR("--disable-sigusr1")))
        r->out->sigusr1_off = true;
    if (!str_cut(&value, '=', &name))
        value = STR("");
    for (size_t i = 0; i < ARRAY_N(names); i++) {
        if (!str_eq(name, str_of(names[i])))
            continue;
        r->out->inspects |= i < 3;
        r->port_next = i >= 3 && name.n == word.n;
        if (value.n > 0)
            take_port(value, r->out);
    }
    r->word_next = node_option_takes_word(word);
    return true;
}

static void read_environ(struct str settings, struct node_options *out) {
    struct str entry, word;

    while (str_cut(&settings, '\0', &entry)) {
        struct reader r = {.out = out};

        if (!str_skip(&entry, STR("NODE_OPTIONS=")))
            continue;
        while (str_word(&entry, &word))
            if (!take_word(&r, word))
                break;
        return;
    }
}

void node_options_read(struct str command, struct str settings, struct node_options *out) {
    struct reader r = {.out = out};
    struct str word;

    *out = (struct node_options){.port = NODE_PORT};
    read_environ(settings, out);
    if (!str_cut(&command, '\0', &word))
        return;
    while (str_cut(&command, '\0', &word) && take_word(&r, word))
        ;
}
