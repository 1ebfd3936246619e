#include "cmd/template.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

/* Docker resolves \t and \n in the template itself. */
static char *unescape(struct str s) {
    char *text = malloc(s.n + 1), *to = text;

    if (!text)
        return NULL;
    for (size_t i = 0; i < s.n; i++) {
        char next = i + 1 < s.n ? s.p[i + 1] : 0;

        if (s.p[i] == '\\' && (next == 't' || next == 'n')) {
            *to++ = next == 't' ? '\t' : '\n';
            i++;
        } else {
            *to++ = s.p[i];
        }
    }
    *to = '\0';
    return text;
}

static int unknown_field(struct str name, const char *const *names, size_t n, struct err *err) {
    struct buf list;
    int r;

    buf_init(&list, 4096);
    for (size_t i = 0; i < n; i++) {
        buf_add(&list, i ? STR(" .") : STR("."));
        buf_add(&list, str_of(names[i]));
    }
    r = err_set(err, -EINVAL, "unknown field '%.*s' in --format; known are %.*s", STR_ARG(name),
                STR_ARG(buf_str(&list)));
    buf_done(&list);
    return r;
}

static int field_of(struct str name, const char *const *names, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (str_eq(name, str_of(names[i])))
            return (int)i;
    return -1;
}

static int not_alone(struct err *err) {
    return err_set(err, -EINVAL, "'{{.}}' in --format only works as {{json .}} alone");
}

static bool is_function(struct str word, enum template_function *out) {
    static const struct {
        const char *name;
        enum template_function function;
    } functions[] = {{"json", TEMPLATE_JSON}, {"upper", TEMPLATE_UPPER}, {"lower", TEMPLATE_LOWER}};

    for (size_t i = 0; i < ARRAY_N(functions); i++)
        if (str_eq(word, str_of(functions[i].name))) {
            *out = functions[i].function;
            return true;
        }
    return false;
}

/* Also names what Go's templates have and these do not: if, range, printf ... */
static int not_understood(struct str action, struct err *err) {
    static const char supported[] = "there are {{.Field}}, {{json|upper|lower .Field}}, "
                                    "{{.Field | json|upper|lower}} and {{- -}}";
    struct str rest = action, word = {"", 0};
    enum template_function function;

    (void)str_word(&rest, &word);
    if (word.n > 0 && word.p[0] >= 'a' && word.p[0] <= 'z' && !is_function(word, &function))
        return err_set(err, -EINVAL, "'{{%.*s ...}}' is not supported in --format; %s",
                       STR_ARG(word), supported);
    return err_set(err, -EINVAL, "cannot understand '{{%.*s}}' in --format; %s", STR_ARG(action),
                   supported);
}

/* The inside of {{ }}: one field, and a function in front of it or behind a '|'. */
static int parse_action(struct str action, const char *const *names, size_t n, struct template *t,
                        struct err *err) {
    struct template_part part = {.field = -1};
    struct str rest, pipe = str_trim(action), word = {"", 0};
    bool piped = str_cut(&pipe, '|', &rest);

    if (!piped)
        rest = pipe;
    (void)str_word(&rest, &word);
    if (!piped && is_function(word, &part.function)) {
        word = STR("");
        (void)str_word(&rest, &word);
    }
    if (str_trim(rest).n > 0 || !str_starts(word, STR(".")) ||
        (piped && !is_function(str_trim(pipe), &part.function)))
        return not_understood(action, err);
    if (word.n == 1) {
        if (part.function != TEMPLATE_JSON)
            return not_alone(err);
        t->whole = true;
        return 0;
    }
    part.field = field_of(str_from(word, 1), names, n);
    if (part.field < 0)
        return unknown_field(word, names, n, err);
    t->part[t->parts++] = part;
    return 0;
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct str trim_front(struct str s) {
    while (s.n > 0 && is_space(s.p[0]))
        s = str_from(s, 1);
    return s;
}

static struct str trim_back(struct str s) {
    while (s.n > 0 && is_space(s.p[s.n - 1]))
        s.n--;
    return s;
}

/* "{{- " and " -}}" eat the white space of the text beside them. */
static bool skip_front_mark(struct str *action) {
    bool found = action->n > 1 && action->p[0] == '-' && is_space(action->p[1]);

    if (found)
        *action = str_from(*action, 2);
    return found;
}

static bool skip_back_mark(struct str *action) {
    size_t n = action->n;
    bool found = n > 1 && action->p[n - 1] == '-' && is_space(action->p[n - 2]);

    if (found)
        action->n = n - 2;
    return found;
}

/* Position of "{{" or "}}", or -1. */
static ptrdiff_t find_pair(struct str s, char c) {
    for (size_t i = 0; i + 1 < s.n; i++)
        if (s.p[i] == c && s.p[i + 1] == c)
            return (ptrdiff_t)i;
    return -1;
}

static int add_text(struct template *t, struct str text, struct err *err) {
    if (text.n == 0)
        return 0;
    if (t->whole)
        return not_alone(err);
    t->part[t->parts++] = (struct template_part){.text = text, .field = -1};
    return 0;
}

/* The inside of the next {{ }}; *rest moves behind it. */
static int cut_action(struct str *rest, struct str *action, struct err *err) {
    ptrdiff_t to = find_pair(*rest, '}');

    if (to < 0)
        return err_set(err, -EINVAL, "--format has '{{' without '}}'");
    *action = str_head(*rest, (size_t)to);
    *rest = str_from(*rest, (size_t)to + 2);
    return 0;
}

static int parse(struct str rest, const char *const *names, size_t n, struct template *t,
                 struct err *err) {
    bool trim = false;

    while (rest.n > 0) {
        ptrdiff_t from = find_pair(rest, '{');
        struct str text = from < 0 ? rest : str_head(rest, (size_t)from), action = STR("");
        int r = 0;

        if (trim)
            text = trim_front(text);
        if (t->parts + 2 > TEMPLATE_PARTS)
            return err_set(err, -E2BIG, "--format has more than %d parts", TEMPLATE_PARTS);
        if (from < 0)
            return add_text(t, text, err);
        rest = str_from(rest, (size_t)from + 2);
        r = cut_action(&rest, &action, err);
        if (r == 0 && skip_front_mark(&action))
            text = trim_back(text);
        trim = r == 0 && skip_back_mark(&action);
        if (r == 0)
            r = add_text(t, text, err);
        if (r == 0)
            r = t->whole ? not_alone(err) : parse_action(action, names, n, t, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Nothing may stand beside the whole row. */
static int check_whole(const struct template *t, struct err *err) {
    return t->whole && t->parts > 0 ? not_alone(err) : 0;
}

int template_parse(struct str source, const char *const *names, size_t n, struct template *out,
                   struct err *err) {
    struct template t = {.text = unescape(source)};
    struct str rest;
    int r;

    if (!t.text)
        return err_set(err, -ENOMEM, "cannot read --format:");
    rest = str_of(t.text);
    t.table = str_skip(&rest, STR("table ")) || str_skip(&rest, STR("table\t"));
    if (!t.table && str_eq(rest, STR("json"))) {
        t.whole = true;
        r = 0;
    } else {
        r = parse(rest, names, n, &t, err);
        if (r == 0)
            r = check_whole(&t, err);
    }
    if (r < 0) {
        template_done(&t);
        return r;
    }
    *out = t;
    return 0;
}

void template_done(struct template *t) {
    free(t->text);
    t->text = NULL;
}

static char to_case(char c, bool up) {
    if (up)
        return c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

void template_add_field(struct buf *out, enum template_function function, struct str raw,
                        bool plain_ascii) {
    size_t from = out->n;

    switch (function) {
    case TEMPLATE_JSON:
        buf_add_char(out, '"');
        text_add_json(out, raw);
        buf_add_char(out, '"');
        return;
    case TEMPLATE_PLAIN:
    case TEMPLATE_UPPER:
    case TEMPLATE_LOWER:
        text_add_visible(out, raw, plain_ascii);
        break;
    }
    if (function == TEMPLATE_PLAIN || buf_error(out))
        return;
    for (size_t i = from; i < out->n; i++)
        out->p[i] = to_case(out->p[i], function == TEMPLATE_UPPER);
}
