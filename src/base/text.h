/* text.h - bytes from the kernel and from containers, made fit for people and programs.
 *
 * One escape function per sink. Names are bytes inside; only here, at the exit, do they become
 * text.
 */
#pragma once
#include "base/buf.h"

/* Decodes one UTF-8 character at the start of s (not empty): its length, and the code point in
 * *out; 0 for bytes that are not valid UTF-8 (overlong forms, surrogates, above U+10FFFF too). */
size_t text_decode(struct str s, uint32_t *out);

/* For a terminal or a table cell: C0 and C1 controls, DEL, invalid UTF-8, line and paragraph
 * separators, bidirectional and other invisible format characters and the backslash itself become
 * \n, \t, \xNN, \u{NNNN} or \\, so that what is printed has no control bytes and two names that
 * differ never look alike. With `plain` set, non-ASCII becomes \u{NNNN} too. */
void text_add_visible(struct buf *b, struct str s, bool plain);

/* How many columns a text takes on a terminal, counting wide characters (East Asian, emoji) as
 * two and combining marks as none. The text must come from text_add_visible. */
size_t text_columns(struct str s);

/* The longest head of a visible text that takes at most `columns`. */
struct str text_head(struct str s, size_t columns);

/* The inside of a JSON string (no quotes): escapes per RFC 8259; a byte that is not UTF-8 becomes
 * U+FFFD. Always valid UTF-8. */
void text_add_json(struct buf *b, struct str s);
