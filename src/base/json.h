/* json.h - writes JSON into a buffer, one value after the other; commas and nesting are its job.
 *
 *     json_begin_object(&j);  json_key(&j, "name");  json_str(&j, name);  json_end(&j);
 *
 * The names are not those of jansson, beside which a static program links this.
 * Misuse (a value without a key in an object, more ends than starts) is an assertion.
 */
#pragma once
#include "base/buf.h"

struct json {
    struct buf *out;
    unsigned depth;
    uint32_t in_array; /* bit per depth */
    bool first, after_key;
};

void json_start(struct json *j, struct buf *out); /* at most 31 levels deep */

void json_begin_object(struct json *j);
void json_begin_array(struct json *j);
void json_end(struct json *j); /* closes the innermost object or array */

void json_key(struct json *j, const char *key);     /* ASCII, needs no escape */
void json_key_text(struct json *j, struct str key); /* any bytes, as in json_str */

void json_str(struct json *j, struct str s); /* any bytes; what is not UTF-8 becomes U+FFFD */
void json_u64(struct json *j, uint64_t value);
void json_i64(struct json *j, int64_t value);
void json_bool(struct json *j, bool value);
void json_unknown(struct json *j);                    /* null */
void json_raw(struct json *j, struct str value);      /* that is JSON already */
void json_centi(struct json *j, uint64_t hundredths); /* 1234 -> 12.34 */

/* UTC with milliseconds: "2026-11-21T07:48:16.123Z". */
void json_time_ms(struct json *j, int64_t ms_since_1970);

/* A key and its value in one line. */
void json_key_str(struct json *j, const char *key, struct str s);
void json_key_u64(struct json *j, const char *key, uint64_t value);
void json_key_maybe(struct json *j, const char *key, bool have, uint64_t value); /* or null */
void json_key_maybe_str(struct json *j, const char *key, struct str s);          /* empty: null */
void json_key_centi(struct json *j, const char *key, bool have, uint64_t hundredths); /* or null */
