#include "base/text.h"

#include <wchar.h>

/* Continuation bytes and lower bounds by length: what makes a sequence overlong. */
size_t text_decode(struct str s, uint32_t *out) {
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)s.p[0];
    size_t n = first < 0x80   ? 1
               : first < 0xc2 ? 0
               : first < 0xe0 ? 2
               : first < 0xf0 ? 3
               : first < 0xf5 ? 4
                              : 0;
    uint32_t code;

    if (n == 0 || n > s.n)
        return 0;
    code = n == 1 ? first : first & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        unsigned char next = (unsigned char)s.p[i];

        if ((next & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (next & 0x3f);
    }
    if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return 0;
    *out = code;
    return n;
}

/* Characters that change what the eye sees without being seen: bidirectional controls, zero-width
 * characters, separators, variation selectors, tags. */
static bool is_invisible(uint32_t c) {
    return (c >= 0x80 && c < 0xa0) || c == 0xad || c == 0x61c || c == 0x180e ||
           (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
           (c >= 0x2060 && c <= 0x206f) || (c >= 0xfe00 && c <= 0xfe0f) || c == 0xfeff ||
           (c >= 0xfff0 && c <= 0xfffb) || (c >= 0xe0000 && c <= 0xe01ef) || (c & 0xfffe) == 0xfffe;
}

static void add_hex(struct buf *b, unsigned value, unsigned least_digits) {
    static const char digit[] = "0123456789abcdef";
    unsigned n = least_digits;

    while (n < 8 && value >> (4 * n))
        n++;
    while (n-- > 0)
        buf_add_char(b, digit[value >> (4 * n) & 15]);
}

/* ASCII that needs no thought: what nearly every byte of nearly every name is. */
static size_t plain_run(struct str s, char quote) {
    size_t n = 0;

    while (n < s.n && (unsigned char)s.p[n] >= 0x20 && (unsigned char)s.p[n] < 0x7f &&
           s.p[n] != '\\' && s.p[n] != quote)
        n++;
    return n;
}

static void add_visible_char(struct buf *b, uint32_t code, struct str raw, bool plain) {
    switch (code) {
    case '\n':
        buf_add(b, STR("\\n"));
        return;
    case '\t':
        buf_add(b, STR("\\t"));
        return;
    case '\\':
        buf_add(b, STR("\\\\"));
        return;
    default:
        break;
    }
    if (code < 0x20 || code == 0x7f) {
        buf_add(b, STR("\\x"));
        add_hex(b, code, 2);
    } else if (code >= 0x80 && (plain || is_invisible(code))) {
        buf_add(b, STR("\\u{"));
        add_hex(b, code, 4);
        buf_add_char(b, '}');
    } else {
        buf_add(b, raw);
    }
}

void text_add_visible(struct buf *b, struct str s, bool plain) {
    while (s.n > 0) {
        size_t n = plain_run(s, '\\');
        uint32_t code;

        buf_add(b, str_head(s, n));
        s = str_from(s, n);
        if (s.n == 0)
            return;
        n = text_decode(s, &code);
        if (n == 0) {
            n = 1;
            buf_add(b, STR("\\x"));
            add_hex(b, (unsigned char)s.p[0], 2);
        } else {
            add_visible_char(b, code, str_head(s, n), plain);
        }
        s = str_from(s, n);
    }
}

/* Blocks of characters that terminals draw in two columns (Unicode's East_Asian_Width W and F,
 * and emoji), and of marks that take none. Whole blocks: a table cell one column off in a rare
 * script is a smaller harm than a dependence on the locale. */
static unsigned columns_of(uint32_t c) {
    static const struct {
        uint32_t first, last;
        unsigned columns;
    } blocks[] = {
        {0x300, 0x36f, 0},     {0x1100, 0x115f, 2},   {0x1ab0, 0x1aff, 0},   {0x1dc0, 0x1dff, 0},
        {0x20d0, 0x20ff, 0},   {0x2e80, 0x303e, 2},   {0x3040, 0xa4cf, 2},   {0xac00, 0xd7a3, 2},
        {0xf900, 0xfaff, 2},   {0xfe20, 0xfe2f, 0},   {0xfe30, 0xfe6f, 2},   {0xff01, 0xff60, 2},
        {0xffe0, 0xffe6, 2},   {0x1f300, 0x1f64f, 2}, {0x1f680, 0x1f6ff, 2}, {0x1f900, 0x1faff, 2},
        {0x20000, 0x3fffd, 2},
    };

    for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]) && c >= blocks[i].first; i++)
        if (c <= blocks[i].last)
            return blocks[i].columns;
    return 1;
}

struct str text_head(struct str s, size_t columns) {
    size_t used = 0, at = 0;

    while (at < s.n) {
        uint32_t code = 0;
        size_t n = text_decode(str_from(s, at), &code);
        unsigned width = n ? columns_of(code) : 1;

        if (used + width > columns)
            break;
        used += width;
        at += n ? n : 1;
    }
    return str_head(s, at);
}

size_t text_columns(struct str s) {
    size_t used = 0;

    while (s.n > 0) {
        uint32_t code = 0;
        size_t n = text_decode(s, &code);

        used += n ? columns_of(code) : 1;
        s = str_from(s, n ? n : 1);
    }
    return used;
}

static void add_json_char(struct buf *b, char c) {
    switch (c) {
    case '"':
        buf_add(b, STR("\\\""));
        break;
    case '\\':
        buf_add(b, STR("\\\\"));
        break;
    case '\n':
        buf_add(b, STR("\\n"));
        break;
    case '\t':
        buf_add(b, STR("\\t"));
        break;
    default: /* a control character; DEL too, which RFC 8259 allows but terminals obey */
        buf_add(b, STR("\\u"));
        add_hex(b, (unsigned char)c, 4);
    }
}

void text_add_json(struct buf *b, struct str s) {
    while (s.n > 0) {
        size_t n = plain_run(s, '"');
        uint32_t code = 0;

        buf_add(b, str_head(s, n));
        s = str_from(s, n);
        if (s.n == 0)
            return;
        n = text_decode(s, &code);
        if (n == 0) {
            n = 1;
            buf_add(b, STR("\xef\xbf\xbd"));
        } else if (n == 1) {
            add_json_char(b, s.p[0]);
        } else if (is_invisible(code) && code < 0x10000) {
            buf_add(b, STR("\\u")); /* the same character, but harmless on a terminal */
            add_hex(b, code, 4);
        } else {
            buf_add(b, str_head(s, n));
        }
        s = str_from(s, n);
    }
}
