#include "runtime/pygctype.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

enum {
    FLAG_HEAPTYPE = 1 << 9,
    FLAG_READY = 1 << 12,
    FLAG_LIST = 1 << 25,
    FLAG_DICT = 1 << 29,
    FIRST = 1024,
    BASES = 32,      /* that a class is followed up */
    NAME_WORDS = 64, /* of a class's dict that are looked at for __module__: it is the first */
    KEYS_LOG2_MAX = 40,
};
#define FLAG_TYPE (UINT32_C(1) << 31)
static const uint64_t item_bytes_max = UINT64_C(1) << 40;

enum shape { SHAPE_FIXED, SHAPE_VAR, SHAPE_LIST, SHAPE_DICT, SHAPE_SET };

struct type {
    uint64_t address; /* 0: a free slot */
    uint64_t flags, name;
    uint64_t basic, item;
    enum shape shape;
    uint64_t count, bytes, new_count, new_bytes;
};

struct pygctypes {
    struct pygcread *read;
    const struct pylayout *layout;
    struct type *slot; /* open addressing */
    size_t slots, n;
    struct type *last;   /* of the object before: most often the same */
    uint64_t module_key; /* where the program keeps "__module__", once it was seen */
};

int pygctypes_new(struct pygcread *r, const struct pylayout *layout, struct pygctypes **out) {
    struct pygctypes *t = calloc(1, sizeof(*t));

    if (!t)
        return -ENOMEM;
    *t = (struct pygctypes){
        .read = r, .layout = layout, .slots = FIRST, .slot = calloc(FIRST, sizeof(*t->slot))};
    if (!t->slot) {
        free(t);
        return -ENOMEM;
    }
    *out = t;
    return 0;
}

void pygctypes_free(struct pygctypes *t) {
    if (!t)
        return;
    free(t->slot);
    free(t);
}

/* --- a table by address ----------------------------------------------------------------------- */

/* Addresses can be chosen by the program that is read; it could only make its own reading slow, and
 * that has a deadline. */
static struct type *find(struct type *slot, size_t slots, uint64_t address) {
    size_t at = (size_t)((address >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (slots - 1);

    while (slot[at].address && slot[at].address != address)
        at = (at + 1) & (slots - 1);
    return &slot[at];
}

static int grow(struct pygctypes *t) {
    size_t slots = t->slots * 2;
    struct type *slot;

    if (t->n >= TALLY_ROWS)
        return -E2BIG;
    if (t->n < t->slots / 2)
        return 0;
    slot = calloc(slots, sizeof(*slot));
    if (!slot)
        return -ENOMEM;
    for (size_t i = 0; i < t->slots; i++)
        if (t->slot[i].address)
            *find(slot, slots, t->slot[i].address) = t->slot[i];
    free(t->slot);
    t->slot = slot;
    t->slots = slots;
    t->last = NULL;
    return 0;
}

/* --- texts ------------------------------------------------------------------------------------ */

static int read_c_text(struct pygcread *r, uint64_t address, char *out, size_t size) {
    for (size_t n = 0; n < size; n++) {
        int err = pygcread_get(r, address + n, &out[n], 1);

        if (err < 0)
            return err;
        if (out[n] == '\0')
            return (int)n;
    }
    return (int)size;
}

static size_t add_utf8(char *out, size_t n, uint32_t c) {
    if (c >= 0x110000)
        c = 0xfffd;
    if (c < 0x80) {
        out[n++] = (char)c;
    } else if (c < 0x800) {
        out[n++] = (char)(0xc0 | c >> 6);
        out[n++] = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        out[n++] = (char)(0xe0 | c >> 12);
        out[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        out[n++] = (char)(0x80 | (c & 0x3f));
    } else {
        out[n++] = (char)(0xf0 | c >> 18);
        out[n++] = (char)(0x80 | (c >> 12 & 0x3f));
        out[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        out[n++] = (char)(0x80 | (c & 0x3f));
    }
    return n;
}

/* A str object, compact, as UTF-8 and cut to size. Its length or -errno. */
static int read_text(const struct pygctypes *t, uint64_t address, char *out, size_t size) {
    char head[40];
    uint64_t length, from;
    uint32_t state, kind;
    size_t n = 0;

    if (!pygcread_is_place(address) || pygcread_get(t->read, address, head, sizeof(head)) < 0)
        return -EBADMSG;
    memcpy(&length, head + PY_TEXT_LENGTH, sizeof(length));
    memcpy(&state, head + PY_TEXT_STATE, sizeof(state));
    kind = state >> 2 & 7;
    if (!(state & 0x20) || (kind != 1 && kind != 2 && kind != 4))
        return -EBADMSG;
    from = address + (state & 0x40 ? t->layout->text_ascii : t->layout->text_wide);
    for (uint64_t i = 0; i < length && n + 4 <= size; i++) {
        uint32_t c = 0;

        if (pygcread_get(t->read, from + i * kind, &c, kind) < 0)
            return -EBADMSG;
        n = add_utf8(out, n, c);
    }
    return (int)n;
}

/* --- what a type is --------------------------------------------------------------------------- */

static bool is_static(const struct type *type, struct str have, const char *name) {
    return !(type->flags & FLAG_HEAPTYPE) && str_eq(have, str_of(name));
}

/* Whether it is a set or derived from one: there is no flag that says so. */
static bool is_set(struct pygctypes *t, const struct type *type) {
    struct type at = *type;

    for (unsigned i = 0; i < BASES; i++) {
        char text[16];
        uint64_t base;
        int n;

        if (!(at.flags & FLAG_HEAPTYPE)) {
            n = read_c_text(t->read, at.name, text, sizeof(text));
            return n > 0 && (str_eq((struct str){text, (size_t)n}, STR("set")) ||
                             str_eq((struct str){text, (size_t)n}, STR("frozenset")));
        }
        if (pygcread_u64(t->read, at.address + PY_TYPE_BASE, &base) < 0 ||
            !pygcread_is_place(base) ||
            pygcread_u64(t->read, base + PY_TYPE_FLAGS, &at.flags) < 0 ||
            pygcread_u64(t->read, base + PY_TYPE_NAME, &at.name) < 0)
            return false;
        at.address = base;
    }
    return false;
}

/* Frames and what suspends one have their locals behind them, but no count of these. */
static enum shape shape_of(struct pygctypes *t, const struct type *type) {
    char text[24];
    int n = read_c_text(t->read, type->name, text, sizeof(text));
    struct str name = {text, n < 0 ? 0 : (size_t)n};

    if (type->flags & FLAG_LIST)
        return SHAPE_LIST;
    if (type->flags & FLAG_DICT)
        return SHAPE_DICT;
    if (is_set(t, type))
        return SHAPE_SET;
    if (type->item == 0 || is_static(type, name, "frame") || is_static(type, name, "generator") ||
        is_static(type, name, "coroutine") || is_static(type, name, "async_generator"))
        return SHAPE_FIXED;
    return SHAPE_VAR;
}

static int is_type_itself(struct pygctypes *t, uint64_t metatype) {
    uint64_t flags;

    if (!pygcread_is_place(metatype))
        return 0;
    return pygcread_u64(t->read, metatype + PY_TYPE_FLAGS, &flags) == 0 && (flags & FLAG_TYPE);
}

static int read_type(struct pygctypes *t, uint64_t address, struct type *out) {
    char raw[PY_TYPE_READ];
    struct type type = {.address = address};
    uint64_t metatype;

    if (!pygcread_is_place(address) || pygcread_get(t->read, address, raw, sizeof(raw)) < 0)
        return -EBADMSG;
    memcpy(&metatype, raw + PY_OB_TYPE, 8);
    memcpy(&type.name, raw + PY_TYPE_NAME, 8);
    memcpy(&type.basic, raw + PY_TYPE_BASIC, 8);
    memcpy(&type.item, raw + PY_TYPE_ITEM, 8);
    memcpy(&type.flags, raw + PY_TYPE_FLAGS, 8);
    if (!(type.flags & FLAG_READY) || type.basic < 16 || type.basic > 1 << 24 ||
        type.item > 1 << 16 || type.name < PYGCREAD_PAGE || !is_type_itself(t, metatype))
        return -EBADMSG;
    type.shape = shape_of(t, &type);
    *out = type;
    return 0;
}

static int type_at(struct pygctypes *t, uint64_t address, struct type **out) {
    struct type *at = find(t->slot, t->slots, address);
    struct type type;
    int err;

    if (!at->address) {
        err = read_type(t, address, &type);
        if (err == 0)
            err = grow(t);
        if (err < 0)
            return err;
        at = find(t->slot, t->slots, address);
        *at = type;
        t->n++;
    }
    *out = at;
    return 0;
}

/* --- sizes ------------------------------------------------------------------------------------ */

/* The table of a dict that does not share it: CPython keeps 2/3 of the slots as entries. */
static uint64_t keys_bytes(struct pygctypes *t, uint64_t dict) {
    uint64_t keys[2];
    unsigned char head[16];
    uint64_t entries;

    if (pygcread_get(t->read, dict + PY_DICT_KEYS, keys, sizeof(keys)) < 0 || keys[1] != 0 ||
        !pygcread_is_place(keys[0]) || pygcread_get(t->read, keys[0], head, sizeof(head)) < 0)
        return 0;
    if (head[PY_KEYS_LOG2_SIZE] < 3 || head[PY_KEYS_LOG2_SIZE] > KEYS_LOG2_MAX ||
        head[PY_KEYS_LOG2_INDEX] > KEYS_LOG2_MAX || head[PY_KEYS_KIND] > 1)
        return 0; /* also the empty one, which all empty dicts share */
    entries = (UINT64_C(1) << head[PY_KEYS_LOG2_SIZE] << 1) / 3;
    return PY_KEYS_INDICES + (UINT64_C(1) << head[PY_KEYS_LOG2_INDEX]) +
           entries * (head[PY_KEYS_KIND] == 1 ? 16 : 24);
}

static uint64_t set_bytes(struct pygctypes *t, uint64_t set) {
    uint64_t word[2];

    if (pygcread_get(t->read, set + PY_SET_MASK, word, sizeof(word)) < 0 ||
        word[1] == set + PY_SET_SMALL || word[0] >= item_bytes_max / 16)
        return 0;
    return (word[0] + 1) * 16;
}

static uint64_t items_bytes(struct pygctypes *t, uint64_t at, uint64_t each) {
    uint64_t n;

    if (pygcread_u64(t->read, at, &n) < 0 || n > item_bytes_max / each)
        return 0;
    return n * each;
}

static uint64_t size_of(struct pygctypes *t, const struct type *type, uint64_t object) {
    uint64_t size = PY_HEAD + type->basic + (type->flags & t->layout->preheader ? 16 : 0);

    switch (type->shape) {
    case SHAPE_LIST:
        return size + items_bytes(t, object + PY_LIST_ALLOCATED, 8);
    case SHAPE_DICT:
        return size + keys_bytes(t, object);
    case SHAPE_SET:
        return size + set_bytes(t, object);
    case SHAPE_VAR:
        return size + items_bytes(t, object + PY_OB_SIZE, type->item);
    case SHAPE_FIXED:
        break;
    }
    return size;
}

int pygctypes_count(struct pygctypes *t, uint64_t object, uint64_t type) {
    struct type *at = t->last;

    if (!at || at->address != type) {
        int err = type_at(t, type, &at);

        if (err < 0)
            return err;
        t->last = at;
    }
    at->new_count++;
    at->new_bytes += size_of(t, at, object);
    return 0;
}

void pygctypes_keep(struct pygctypes *t) {
    for (size_t i = 0; i < t->slots; i++) {
        t->slot[i].count += t->slot[i].new_count;
        t->slot[i].bytes += t->slot[i].new_bytes;
    }
    pygctypes_drop(t);
}

void pygctypes_drop(struct pygctypes *t) {
    for (size_t i = 0; i < t->slots; i++)
        t->slot[i].new_count = t->slot[i].new_bytes = 0;
}

/* --- names ------------------------------------------------------------------------------------ */

static bool is_module_key(struct pygctypes *t, uint64_t key) {
    char text[16];
    int n;

    if (key == t->module_key)
        return true;
    n = read_text(t, key, text, sizeof(text));
    if (n < 0 || !str_eq((struct str){text, (size_t)n}, STR("__module__")))
        return false;
    t->module_key = key;
    return true;
}

/* The value of __module__ in the dict of a class. */
static int module_of(struct pygctypes *t, uint64_t type, char *out, size_t size) {
    unsigned char head[PY_KEYS_INDICES];
    uint64_t dict, keys, n, entry, step;

    if (pygcread_u64(t->read, type + PY_TYPE_DICT, &dict) < 0 || !pygcread_is_place(dict) ||
        pygcread_u64(t->read, dict + PY_DICT_KEYS, &keys) < 0 || !pygcread_is_place(keys) ||
        pygcread_get(t->read, keys, head, sizeof(head)) < 0 ||
        head[PY_KEYS_LOG2_INDEX] > KEYS_LOG2_MAX || head[PY_KEYS_KIND] > 1)
        return -EBADMSG;
    memcpy(&n, head + PY_KEYS_N, sizeof(n));
    step = head[PY_KEYS_KIND] == 1 ? 16 : 24;
    entry = keys + PY_KEYS_INDICES + (UINT64_C(1) << head[PY_KEYS_LOG2_INDEX]) + step - 16;
    for (uint64_t i = 0; i < n && i < NAME_WORDS; i++, entry += step) {
        uint64_t pair[2];

        if (pygcread_get(t->read, entry, pair, sizeof(pair)) < 0)
            return -EBADMSG;
        if (is_module_key(t, pair[0]))
            return read_text(t, pair[1], out, size);
    }
    return -ENODATA;
}

/* As people know it; the C name when the parts of a class cannot be read. */
static struct str name_of(struct pygctypes *t, const struct type *type, char *out, size_t size) {
    char module[TALLY_NAME / 2];
    uint64_t place;
    int n, m;

    if (type->flags & FLAG_HEAPTYPE &&
        pygcread_u64(t->read, type->address + t->layout->heap_qualname, &place) == 0) {
        m = module_of(t, type->address, module, sizeof(module));
        if (m > 0 && !str_eq((struct str){module, (size_t)m}, STR("builtins"))) {
            memcpy(out, module, (size_t)m);
            out[m++] = '.';
        } else {
            m = 0;
        }
        n = read_text(t, place, out + m, size - (size_t)m);
        if (n > 0)
            return (struct str){out, (size_t)(m + n)};
    }
    n = read_c_text(t->read, type->name, out, size);
    return n > 0 ? (struct str){out, (size_t)n} : STR("(name cannot be read)");
}

int pygctypes_tally(struct pygctypes *t, struct tally *out) {
    char name[TALLY_NAME];

    for (size_t i = 0; i < t->slots; i++) {
        const struct type *type = &t->slot[i];
        int err = 0;

        if (type->count > 0)
            err = tally_add(out, name_of(t, type, name, sizeof(name)), type->count, type->bytes,
                            true);
        if (err < 0)
            return err;
    }
    return 0;
}
