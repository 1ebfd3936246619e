/* regex.h - regular expressions from requests: matched in time linear in the text, never by
 * backtracking, and anchored at both ends as Prometheus has them.
 *
 * Of RE2's syntax: characters, `.`, classes with ranges and negation, \d \w \s and their capitals,
 * \t \n \r and escaped punctuation, ( ), (?: ), |, * + ? and {n,m} (greedy or not: here the same),
 * ^ and $ at the ends. What is not known is an error, never something else.
 */
#pragma once
#include "base/err.h"
#include "base/str.h"

enum { REGEX_TEXT = 1024, REGEX_STEPS = 4000 };

struct regex;

/* 0; -EBADMSG or -E2BIG with a text; -ENOMEM. */
int regex_new(struct str pattern, struct regex **out, struct err *err);
void regex_free(struct regex *r);

/* Whether the whole text matches. */
bool regex_matches(struct regex *r, struct str text);
