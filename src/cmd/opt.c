#include "cmd/opt.h"

#include <errno.h>
#include <limits.h>

#include "base/mem.h"
#include "base/num.h"

static int set_root(void *into, struct str value, struct err *err) {
    struct cmd_context *context = into;

    if (value.n == 0)
        return err_set(err, -EINVAL, "--root needs a directory");
    context->root = value.p; /* from argv: NUL-terminated */
    return 0;
}

static int set_json(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct cmd_context *)into)->json = true;
    return 0;
}

static int set_plain(void *into, struct str value, struct err *err) {
    (void)value, (void)err;
    ((struct cmd_context *)into)->plain = true;
    return 0;
}

/* The options that every command has; the first two only those that print data, the third those
 * that only look. */
static const struct opt common[] = {
    {"json", 0, NULL, "one JSON object per line or document; bytes as integers, unknown is null",
     set_json},
    {"plain", 0, NULL, "tab-separated columns without alignment", set_plain},
    {"root", 0, "DIR", "read /proc and /sys below DIR, a captured machine", set_root},
    {"help", 'h', NULL, "this text", NULL},
};

static bool has_common(const struct cmd *cmd, size_t i) {
    static const bool prints[] = {true, true, false, false}, looks[] = {false, false, true, false};

    return (!prints[i] || cmd->output_opts) && (!looks[i] || !cmd->acts);
}

const char *opt_suggest(struct str typed, const char *const *known, size_t n) {
    const char *best = NULL;
    unsigned least = UINT_MAX;

    for (size_t i = 0; i < n; i++) {
        unsigned d = str_distance(typed, str_of(known[i]));

        if (d < least) {
            least = d;
            best = known[i];
        }
    }
    return least <= 2 && least < typed.n ? best : NULL;
}

static int unknown(const struct cmd *cmd, struct str name, struct err *err) {
    const char *known[64];
    const char *near;
    size_t n = 0;

    for (const struct opt *o = cmd->opts; o && o->name && n < 60; o++)
        known[n++] = o->name;
    for (size_t i = 0; i < ARRAY_N(common); i++)
        if (has_common(cmd, i))
            known[n++] = common[i].name;
    near = opt_suggest(name, known, n);
    if (near)
        return err_set(err, -EINVAL, "unknown option '--%.*s', did you mean '--%s'?", STR_ARG(name),
                       near);
    return err_set(err, -EINVAL, "unknown option '--%.*s'", STR_ARG(name));
}

/* By long name (letter 0) or by letter. *is_common tells what it stores into. */
static const struct opt *look_up(const struct cmd *cmd, struct str name, char letter,
                                 bool *is_common) {
    *is_common = false;
    for (const struct opt *o = cmd->opts; o && o->name; o++)
        if (letter ? o->letter == letter : str_eq(name, str_of(o->name)))
            return o;
    *is_common = true;
    for (size_t i = 0; i < ARRAY_N(common); i++)
        if (has_common(cmd, i) &&
            (letter ? common[i].letter == letter : str_eq(name, str_of(common[i].name))))
            return &common[i];
    return NULL;
}

struct parse {
    const struct cmd *cmd;
    int argc, next;
    char **argv;
    void *options;
    struct cmd_context *context;
};

static int apply(struct parse *p, const struct opt *o, bool is_common, struct str value,
                 struct err *err) {
    if (!o->set)
        return 1; /* --help */
    return o->set(is_common ? (void *)p->context : p->options, value, err);
}

static int long_option(struct parse *p, struct str text, struct err *err) {
    struct str name = text, value = {"", 0};
    bool has_value = str_cut(&text, '=', &name), is_common;
    const struct opt *o = look_up(p->cmd, name, 0, &is_common);

    if (!o)
        return unknown(p->cmd, name, err);
    if (has_value)
        value = text;
    if (!o->arg && has_value)
        return err_set(err, -EINVAL, "option '--%s' takes no argument", o->name);
    if (o->arg && !has_value) {
        if (p->next == p->argc)
            return err_set(err, -EINVAL, "option '--%s' needs an argument: %s", o->name, o->arg);
        value = str_of(p->argv[p->next++]);
    }
    return apply(p, o, is_common, value, err);
}

static int short_options(struct parse *p, struct str letters, struct err *err) {
    while (letters.n > 0) {
        char letter = letters.p[0];
        struct str value = {"", 0};
        bool is_common;
        const struct opt *o = look_up(p->cmd, value, letter, &is_common);
        int r;

        letters = str_from(letters, 1);
        if (!o)
            return err_set(err, -EINVAL, "unknown option '-%c'", letter);
        if (o->arg && letters.n > 0) {
            value = letters;
            letters.n = 0;
        } else if (o->arg) {
            if (p->next == p->argc)
                return err_set(err, -EINVAL, "option '-%c' needs an argument: %s", letter, o->arg);
            value = str_of(p->argv[p->next++]);
        }
        r = apply(p, o, is_common, value, err);
        if (r != 0)
            return r;
    }
    return 0;
}

/* "-1" is an argument that is wrong, not an option: the command can say what is right. */
static bool is_number(struct str s) {
    uint64_t value;

    return str_to_u64(str_from(s, 1), &value) != -EBADMSG;
}

int opt_parse(const struct cmd *cmd, int argc, char **argv, void *options,
              struct cmd_context *context, struct err *err) {
    struct parse p = {cmd, argc, 1, argv, options, context};
    bool only_args = false;
    size_t nargs = 0;

    while (p.next < argc) {
        char *text = argv[p.next++];
        struct str s = str_of(text);
        int r = 0;

        if (only_args || s.n < 2 || s.p[0] != '-' || is_number(s)) {
            argv[1 + nargs++] = text;
            only_args |= cmd->takes_command;
        } else if (str_eq(s, STR("--"))) {
            only_args = true;
        } else if (s.p[1] == '-') {
            r = long_option(&p, str_from(s, 2), err);
        } else {
            r = short_options(&p, str_from(s, 1), err);
        }
        if (r != 0)
            return r;
    }
    argv[1 + nargs] = NULL; /* for exec: what stood there has moved, or was an option */
    context->args = argv + 1;
    context->nargs = nargs;
    return 0;
}

static void add_option(const struct opt *o, struct buf *out) {
    size_t at = out->n;

    if (o->letter)
        buf_add_format(out, "  -%c, --%s", o->letter, o->name);
    else
        buf_add_format(out, "      --%s", o->name);
    if (o->arg)
        buf_add_format(out, " %s", o->arg);
    if (out->n - at < 26)
        buf_add_fill(out, ' ', 26 - (out->n - at));
    else
        buf_add(out, STR("\n                          "));
    buf_add(out, str_of(o->help));
    buf_add_char(out, '\n');
}

void opt_add_help(const struct cmd *cmd, struct buf *out) {
    buf_add_format(out, "usage: plimsoll %s %s\n\n", cmd->name, cmd->synopsis);
    buf_add_format(out, "%s\n", cmd->brief);
    if (cmd->about) {
        buf_add_char(out, '\n');
        buf_add(out, str_of(cmd->about));
    }
    buf_add(out, STR("\noptions:\n"));
    for (const struct opt *o = cmd->opts; o && o->name; o++)
        add_option(o, out);
    for (size_t i = 0; i < ARRAY_N(common); i++)
        if (has_common(cmd, i))
            add_option(&common[i], out);
}

int opt_size(struct str value, uint64_t *out, struct err *err) {
    int r = num_parse_size(value, out);

    if (r == -ERANGE)
        return err_set(err, -EINVAL, "'%.*s' is more than any machine has", STR_ARG(value));
    if (r < 0)
        return err_set(err, -EINVAL, "'%.*s' is not a size; write it as 60M, 1.5G or 512MiB",
                       STR_ARG(value));
    return 0;
}

int opt_interval_us(struct str value, int64_t *out, struct err *err) {
    uint64_t ms;
    int r = num_parse_ms(value, &ms);

    if (r < 0 && r != -ERANGE)
        return err_set(err, -EINVAL, "'%.*s' is not an interval; write it as 1, 0.5, 200ms or 1m",
                       STR_ARG(value));
    if (r < 0 || ms < 50 || ms > 86400000)
        return err_set(err, -EINVAL, "an interval of '%.*s' is out of range (50ms to 1d)",
                       STR_ARG(value));
    *out = (int64_t)ms * 1000;
    return 0;
}

int opt_timeout_ms(struct str value, unsigned least_ms, uint64_t *out, struct err *err) {
    enum { MOST_MS = 600 * 1000 };
    bool whole = least_ms % 1000 == 0;
    uint64_t ms;

    if (num_parse_ms(value, &ms) < 0 || ms < least_ms || ms > MOST_MS)
        return err_set(err, -EINVAL, "'%.*s' is not a time from %u%s to 10m", STR_ARG(value),
                       whole ? least_ms / 1000 : least_ms, whole ? "s" : "ms");
    *out = ms;
    return 0;
}
