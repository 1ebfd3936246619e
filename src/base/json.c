#include "base/json.h"

#include <assert.h>

#include "base/clock.h"
#include "base/num.h"
#include "base/text.h"

void json_start(struct json *j, struct buf *out) {
    *j = (struct json){.out = out, .first = true};
}

static bool in_array(const struct json *j) {
    return j->in_array >> j->depth & 1;
}

static void before_value(struct json *j) {
    assert(j->depth == 0 || in_array(j) || j->after_key);
    if (!j->first && !j->after_key)
        buf_add_char(j->out, ',');
    j->first = j->after_key = false;
}

static void open_level(struct json *j, bool array) {
    before_value(j);
    assert(j->depth < 31);
    j->depth++;
    j->in_array = (j->in_array & ~(1u << j->depth)) | (unsigned)array << j->depth;
    j->first = true;
    buf_add_char(j->out, array ? '[' : '{');
}

void json_begin_object(struct json *j) {
    open_level(j, false);
}

void json_begin_array(struct json *j) {
    open_level(j, true);
}

void json_end(struct json *j) {
    assert(j->depth > 0 && !j->after_key);
    buf_add_char(j->out, in_array(j) ? ']' : '}');
    j->depth--;
    j->first = false;
}

static void begin_key(struct json *j) {
    assert(j->depth > 0 && !in_array(j) && !j->after_key);
    if (!j->first)
        buf_add_char(j->out, ',');
    buf_add_char(j->out, '"');
}

static void end_key(struct json *j) {
    buf_add(j->out, STR("\":"));
    j->first = false;
    j->after_key = true;
}

void json_key(struct json *j, const char *key) {
    begin_key(j);
    buf_add(j->out, str_of(key));
    end_key(j);
}

void json_key_text(struct json *j, struct str key) {
    begin_key(j);
    text_add_json(j->out, key);
    end_key(j);
}

void json_str(struct json *j, struct str s) {
    before_value(j);
    buf_add_char(j->out, '"');
    text_add_json(j->out, s);
    buf_add_char(j->out, '"');
}

void json_raw(struct json *j, struct str value) {
    before_value(j);
    buf_add(j->out, value);
}

void json_u64(struct json *j, uint64_t value) {
    before_value(j);
    buf_add_u64(j->out, value);
}

void json_i64(struct json *j, int64_t value) {
    before_value(j);
    if (value < 0)
        buf_add_char(j->out, '-');
    buf_add_u64(j->out, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void json_bool(struct json *j, bool value) {
    before_value(j);
    buf_add(j->out, value ? STR("true") : STR("false"));
}

void json_unknown(struct json *j) {
    before_value(j);
    buf_add(j->out, STR("null"));
}

void json_centi(struct json *j, uint64_t hundredths) {
    before_value(j);
    num_add_centi(j->out, hundredths, 2);
}

void json_time_ms(struct json *j, int64_t ms_since_1970) {
    before_value(j);
    buf_add_char(j->out, '"');
    clock_add_rfc3339(j->out, ms_since_1970);
    buf_add_char(j->out, '"');
}

void json_key_str(struct json *j, const char *key, struct str s) {
    json_key(j, key);
    json_str(j, s);
}

void json_key_u64(struct json *j, const char *key, uint64_t value) {
    json_key(j, key);
    json_u64(j, value);
}

void json_key_centi(struct json *j, const char *key, bool have, uint64_t hundredths) {
    json_key(j, key);
    if (have)
        json_centi(j, hundredths);
    else
        json_unknown(j);
}

void json_key_maybe_str(struct json *j, const char *key, struct str s) {
    json_key(j, key);
    if (s.n > 0)
        json_str(j, s);
    else
        json_unknown(j);
}

void json_key_maybe(struct json *j, const char *key, bool have, uint64_t value) {
    json_key(j, key);
    if (have)
        json_u64(j, value);
    else
        json_unknown(j);
}
