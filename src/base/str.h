/* str.h - borrowed text with a length, and the few operations that parsers need.
 *
 * A struct str points into somebody's buffer and lives as long as that buffer. It is not
 * NUL-terminated and may hold any byte: names in the kernel are bytes, not text.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
    const char *p;
    size_t n;
};

/* A struct str of a string literal. */
#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})

/* Arguments for a "%.*s" conversion. */
#define STR_ARG(s) (int)(s).n, (s).p

struct str str_of(const char *text); /* of a NUL-terminated string; NULL gives the empty text */

bool str_eq(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);

/* Position of the first or last such byte, or -1. */
ptrdiff_t str_find(struct str s, char byte);
ptrdiff_t str_rfind(struct str s, char byte);

/* The part of s from position `from` (at most s.n) to its end, and its first n bytes. */
struct str str_from(struct str s, size_t from);
struct str str_head(struct str s, size_t n);

/* Cuts the text before the first `byte` off *rest into *head and moves *rest behind the byte.
 * false, and nothing changed, when the byte is not there. */
bool str_cut(struct str *rest, char byte, struct str *head);

/* The next run of non-blanks (blank, tab) of *rest; false at the end. */
bool str_word(struct str *rest, struct str *word);

/* Without blanks, tabs and newlines at both ends. */
struct str str_trim(struct str s);

/* Removes the prefix or suffix if it is there; tells whether it was. */
bool str_skip(struct str *s, struct str prefix);
bool str_drop(struct str *s, struct str suffix);

/* A whole text of digits and nothing else. 0; -EBADMSG if it is not that; -ERANGE above 2^64-1
 * (or outside int64_t). Signs, blanks and prefixes are refused, but str_to_i64 takes a '-'. */
int str_to_u64(struct str s, uint64_t *out);
int str_to_i64(struct str s, int64_t *out);

/* The value of a hexadecimal digit of either case, or -1. */
int str_hex(char digit);

/* A whole text of 1 to 16 such digits, without a prefix. 0 or -EBADMSG. */
int str_to_hex(struct str s, uint64_t *out);

/* Copies s with a NUL into dst, which has `size` bytes. -ENAMETOOLONG, and nothing written, if it
 * does not fit; -EILSEQ if s holds a NUL itself. */
int str_copy(struct str s, char *dst, size_t size);

/* Edit distance with transpositions counted once (restricted Damerau-Levenshtein), for
 * suggestions; texts above 63 bytes are infinitely far. */
unsigned str_distance(struct str a, struct str b);
