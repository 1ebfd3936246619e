#include "runtime/nodesnap.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

enum { HEAD_MAX = 1 << 16, DEPTH_MAX = 32, TYPES_MAX = 64, FIELDS_MAX = 32, FIRST = 1024 };

/* How nodes of a type are named. */
enum naming { BY_NAME, TOGETHER, NOT_AT_ALL };

static const struct {
    const char *type, *row;
    enum naming naming;
} kinds[] = {
    {"object", NULL, BY_NAME},
    {"native", NULL, BY_NAME},
    {"closure", "Function", TOGETHER},
    {"regexp", "RegExp", TOGETHER},
    {"string", "(string)", TOGETHER},
    {"concatenated string", "(concatenated string)", TOGETHER},
    {"sliced string", "(sliced string)", TOGETHER},
    {"number", "(number)", TOGETHER},
    {"bigint", "(bigint)", TOGETHER},
    {"symbol", "(symbol)", TOGETHER},
    {"array", "(array)", TOGETHER},
    {"code", "(compiled code)", TOGETHER},
    {"object shape", "(object shape)", TOGETHER},
    {"hidden", "(system)", TOGETHER},
    {"synthetic", NULL, NOT_AT_ALL},
};

struct sum {
    uint64_t count, bytes;
};

struct slot {
    uint64_t name; /* index of the string, + 1; 0: free */
    struct sum sum;
};

struct type {
    enum naming naming;
    char row[32];
    struct sum sum;
};

enum section { OTHER, HEAD, NODES, STRINGS };

struct nodesnap {
    int error;
    unsigned depth;
    enum section section;
    bool ended, key; /* the whole object; the next text at depth 1 is a key */
    bool have_head;

    bool in_text, escaped;
    unsigned hex_left;
    uint32_t hex;
    char text[TALLY_NAME];
    size_t text_n;

    bool in_number;
    uint64_t number;

    struct buf head;
    unsigned fields, type_at, name_at, size_at;
    uint64_t promised;
    struct type type[TYPES_MAX];
    unsigned types;

    unsigned field; /* which of a node comes next */
    uint64_t node_type, node_name, node_size;
    uint64_t objects, bytes;

    struct hash_key key_of_slots;
    struct slot *slot;
    size_t slots, used;

    uint64_t next_string;
    struct tally *named; /* rows with their names, until the end */
};

int nodesnap_new(struct nodesnap **out) {
    struct nodesnap *s = calloc(1, sizeof(*s));
    int r = s ? tally_new(&s->named) : -ENOMEM;

    if (r < 0) {
        free(s);
        return r;
    }
    buf_init(&s->head, HEAD_MAX);
    hash_key_init(&s->key_of_slots);
    *out = s;
    return 0;
}

void nodesnap_free(struct nodesnap *s) {
    if (!s)
        return;
    tally_free(s->named);
    buf_done(&s->head);
    free(s->slot);
    free(s);
}

uint64_t nodesnap_objects(const struct nodesnap *s) {
    return s->objects;
}

uint64_t nodesnap_bytes(const struct nodesnap *s) {
    return s->bytes;
}

/* ---- sums by index of the name ---- */

static size_t place(const struct nodesnap *s, uint64_t name) {
    size_t at = hash_str(&s->key_of_slots, (struct str){(const char *)&name, sizeof(name)}) &
                (s->slots - 1);

    while (s->slot[at].name != 0 && s->slot[at].name != name + 1)
        at = (at + 1) & (s->slots - 1);
    return at;
}

static int grow(struct nodesnap *s) {
    struct slot *before = s->slot;
    size_t n = s->slots;

    s->slots = n ? n * 2 : FIRST;
    s->slot = calloc(s->slots, sizeof(*s->slot));
    if (!s->slot) {
        s->slot = before;
        s->slots = n;
        return -ENOMEM;
    }
    for (size_t i = 0; i < n; i++)
        if (before[i].name)
            s->slot[place(s, before[i].name - 1)] = before[i];
    free(before);
    return 0;
}

static void plus(struct sum *sum, uint64_t bytes) {
    sum->count++;
    sum->bytes = sum->bytes > UINT64_MAX - bytes ? UINT64_MAX : sum->bytes + bytes;
}

static int take_node(struct nodesnap *s) {
    struct type *type = s->node_type < s->types ? &s->type[s->node_type] : NULL;
    struct slot *slot;

    if (!type)
        return -EBADMSG;
    s->objects++;
    if (type->naming == NOT_AT_ALL)
        return 0;
    s->bytes = s->bytes > UINT64_MAX - s->node_size ? UINT64_MAX : s->bytes + s->node_size;
    if (type->naming == TOGETHER) {
        plus(&type->sum, s->node_size);
        return 0;
    }
    if (s->used * 2 >= s->slots) {
        int r = grow(s);

        if (r < 0)
            return r;
    }
    if (s->node_name == UINT64_MAX)
        return -EBADMSG;
    slot = &s->slot[place(s, s->node_name)];
    if (slot->name == 0) {
        if (s->used == TALLY_ROWS)
            return -E2BIG;
        s->used++;
        slot->name = s->node_name + 1;
    }
    plus(&slot->sum, s->node_size);
    return 0;
}

static int take_number(struct nodesnap *s) {
    if (s->field == s->type_at)
        s->node_type = s->number;
    else if (s->field == s->name_at)
        s->node_name = s->number;
    else if (s->field == s->size_at)
        s->node_size = s->number;
    if (++s->field < s->fields)
        return 0;
    s->field = 0;
    return take_node(s);
}

static int take_string(struct nodesnap *s) {
    uint64_t index = s->next_string++;
    const struct slot *slot;
    struct str name = {s->text, s->text_n};

    if (s->used == 0)
        return 0;
    slot = &s->slot[place(s, index)];
    if (slot->name == 0)
        return 0;
    return tally_add(s->named, name.n ? name : STR("(no name)"), slot->sum.count, slot->sum.bytes,
                     true);
}

/* ---- what the numbers mean ---- */

static void name_type(struct type *out, const char *name) {
    struct buf row;

    *out = (struct type){.naming = TOGETHER};
    for (size_t i = 0; i < ARRAY_N(kinds); i++) {
        if (strcmp(kinds[i].type, name) != 0)
            continue;
        out->naming = kinds[i].naming;
        if (kinds[i].row)
            (void)str_copy(str_of(kinds[i].row), out->row, sizeof(out->row));
        return;
    }
    /* One that came after this was written. */
    buf_init(&row, 256);
    buf_add_format(&row, "(%.28s)", name);
    if (str_copy(buf_str(&row), out->row, sizeof(out->row)) < 0)
        (void)str_copy(STR("(other)"), out->row, sizeof(out->row));
    buf_done(&row);
}

static unsigned index_of(const json_t *names, const char *name) {
    size_t i;
    const json_t *entry;

    json_array_foreach(names, i, entry) {
        if (json_is_string(entry) && strcmp(json_string_value(entry), name) == 0)
            return (unsigned)i;
    }
    return UINT32_MAX;
}

static int read_head(struct nodesnap *s, const json_t *head) {
    const json_t *meta = json_object_get(head, "meta"), *fields, *types, *entry;
    const json_t *count = json_object_get(head, "node_count");
    size_t i;

    fields = json_object_get(meta, "node_fields");
    s->type_at = index_of(fields, "type");
    s->name_at = index_of(fields, "name");
    s->size_at = index_of(fields, "self_size");
    types = json_array_get(json_object_get(meta, "node_types"), s->type_at);
    if (s->type_at == UINT32_MAX || s->name_at == UINT32_MAX || s->size_at == UINT32_MAX ||
        json_array_size(fields) > FIELDS_MAX || json_array_size(types) == 0 ||
        json_array_size(types) > TYPES_MAX || !json_is_integer(count) ||
        json_integer_value(count) < 0)
        return -EBADMSG;
    json_array_foreach(types, i, entry) {
        if (!json_is_string(entry))
            return -EBADMSG;
        name_type(&s->type[i], json_string_value(entry));
    }
    s->types = (unsigned)json_array_size(types);
    s->fields = (unsigned)json_array_size(fields);
    s->promised = (uint64_t)json_integer_value(count);
    s->have_head = true;
    return 0;
}

static int take_head(struct nodesnap *s) {
    struct str text = buf_str(&s->head);
    json_t *head;
    int r = buf_error(&s->head);

    if (r < 0 || s->have_head)
        return -EBADMSG;
    head = json_loadb(text.p, text.n, 0, NULL);
    r = head ? read_head(s, head) : -EBADMSG;
    json_decref(head);
    return r;
}

/* ---- the text, a byte at a time ---- */

static int begin_section(struct nodesnap *s) {
    struct str key = {s->text, s->text_n};

    s->key = false;
    s->section = OTHER;
    if (str_eq(key, STR("snapshot")))
        s->section = HEAD;
    else if (str_eq(key, STR("nodes")))
        s->section = NODES;
    else if (str_eq(key, STR("strings")))
        s->section = STRINGS;
    return (s->section == NODES || s->section == STRINGS) && !s->have_head ? -EBADMSG : 0;
}

static void add_text(struct nodesnap *s, unsigned char c) {
    if (s->text_n < sizeof(s->text))
        s->text[s->text_n++] = (char)c;
}

/* A UTF-16 unit from \uXXXX; halves of pairs are written as they are and shown as U+FFFD. */
static void add_unit(struct nodesnap *s, uint32_t u) {
    if (u < 0x80) {
        add_text(s, (unsigned char)u);
    } else if (u < 0x800) {
        add_text(s, (unsigned char)(0xc0 | u >> 6));
        add_text(s, (unsigned char)(0x80 | (u & 63)));
    } else {
        add_text(s, (unsigned char)(0xe0 | u >> 12));
        add_text(s, (unsigned char)(0x80 | (u >> 6 & 63)));
        add_text(s, (unsigned char)(0x80 | (u & 63)));
    }
}

static int end_text(struct nodesnap *s) {
    s->in_text = false;
    if (s->section == STRINGS && s->depth == 2)
        return take_string(s);
    return s->section == NODES ? -EBADMSG : 0;
}

static int take_escape(struct nodesnap *s, char c) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *at = c ? strchr(from, c) : NULL;

    s->escaped = false;
    if (c == 'u') {
        s->hex_left = 4;
        s->hex = 0;
        return 0;
    }
    if (!at)
        return -EBADMSG;
    add_text(s, (unsigned char)to[at - from]);
    return 0;
}

static int take_in_text(struct nodesnap *s, char c) {
    if (s->hex_left > 0) {
        int digit = str_hex(c);

        if (digit < 0)
            return -EBADMSG;
        s->hex = s->hex << 4 | (unsigned)digit;
        if (--s->hex_left == 0)
            add_unit(s, s->hex);
        return 0;
    }
    if (s->escaped)
        return take_escape(s, c);
    if (c == '"')
        return end_text(s);
    if (c == '\\')
        s->escaped = true;
    else
        add_text(s, (unsigned char)c);
    return 0;
}

static int end_number(struct nodesnap *s) {
    if (!s->in_number)
        return 0;
    s->in_number = false;
    return s->section == NODES && s->depth == 2 ? take_number(s) : 0;
}

static int take_digit(struct nodesnap *s, char c) {
    if (!s->in_number)
        s->number = 0;
    s->in_number = true;
    if (s->number > UINT64_MAX / 10 - 1)
        return s->section == NODES ? -ERANGE : 0;
    s->number = s->number * 10 + (uint64_t)(c - '0');
    return 0;
}

static int open_bracket(struct nodesnap *s, char c) {
    if (++s->depth > DEPTH_MAX || (s->section == NODES && (s->depth > 2 || c != '[')))
        return -EBADMSG;
    if (s->depth == 1) {
        s->key = true;
        return c == '{' ? 0 : -EBADMSG;
    }
    return 0;
}

static int close_bracket(struct nodesnap *s) {
    if (s->depth == 0)
        return -EBADMSG;
    if (--s->depth == 0)
        s->ended = true;
    if (s->depth != 1)
        return 0;
    if (s->section == HEAD)
        return take_head(s);
    return s->section == NODES && s->field != 0 ? -EBADMSG : 0;
}

static int take_mark(struct nodesnap *s, char c) {
    int r = end_number(s);

    if (r < 0)
        return r;
    switch (c) {
    case '"':
        s->in_text = true;
        s->text_n = 0;
        return s->depth == 0 ? -EBADMSG : 0;
    case '{':
    case '[':
        return open_bracket(s, c);
    case '}':
    case ']':
        return close_bracket(s);
    case ':':
        return s->depth == 1 && s->key ? begin_section(s) : 0;
    case ',':
        if (s->depth == 1) {
            s->key = true;
            s->section = OTHER;
        }
        return s->depth == 0 ? -EBADMSG : 0;
    case ' ':
    case '\n':
    case '\r':
    case '\t':
        return 0;
    default: /* true, null, -1.5e3: nothing that we count */
        return s->section == NODES || s->depth == 0 ? -EBADMSG : 0;
    }
}

static int take_byte(struct nodesnap *s, char c) {
    unsigned depth = s->depth;

    if (s->ended)
        return c == ' ' || c == '\n' || c == '\r' ? 0 : -EBADMSG;
    if (s->section == HEAD && depth >= 2)
        buf_add_char(&s->head, c);
    if (s->in_text)
        return take_in_text(s, c);
    if (c >= '0' && c <= '9')
        return take_digit(s, c);
    if (s->section == HEAD && depth == 1 && c == '{')
        buf_add_char(&s->head, c);
    return take_mark(s, c);
}

int nodesnap_feed(struct nodesnap *s, struct str text) {
    for (size_t i = 0; i < text.n && s->error == 0; i++)
        s->error = take_byte(s, text.p[i]);
    return s->error;
}

int nodesnap_finish(struct nodesnap *s, struct tally *into) {
    int r = s->error;

    if (r == 0 && (!s->ended || !s->have_head || s->objects != s->promised))
        r = -EBADMSG;
    for (unsigned i = 0; i < s->types && r == 0; i++)
        if (s->type[i].sum.count > 0)
            r = tally_add(into, str_of(s->type[i].row), s->type[i].sum.count, s->type[i].sum.bytes,
                          true);
    for (size_t i = 0; i < tally_n(s->named) && r == 0; i++) {
        const struct tally_row *row = tally_row(s->named, i);

        r = tally_add(into, row->name, row->count, row->bytes, row->have_bytes);
    }
    return r;
}
