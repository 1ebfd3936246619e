/* Rows of the log as they are given out, and the messages in them: whatever is read lies within
 * what was given, and rows and messages put together again are the bytes that were read. */
#include <assert.h>
#include <string.h>

#include "series/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEADER = 24, LENGTH = 4 };

static void read_messages(struct str messages) {
    const char *at = messages.p, *end = messages.p + messages.n;
    struct str message;
    int r;

    while ((r = store_log_message(&messages, &message)) > 0) {
        assert(message.p == at + LENGTH && message.n <= (size_t)(end - message.p));
        at = message.p + message.n;
        assert(messages.p == at && messages.n == (size_t)(end - at));
    }
    assert(r == 0 ? at == end : messages.p == at);
}

static void read_length(const char *p, size_t n) {
    for (unsigned i = 0; i < LENGTH; i++)
        assert((uint8_t)p[i] == (uint8_t)((uint64_t)n >> 8 * i));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str rest = {(const char *)data, size};
    const char *at = rest.p;
    struct store_log_row row;
    int r;

    while ((r = store_log_next(&rest, &row)) > 0) {
        int64_t number;

        assert(row.messages.p == at + HEADER);
        memcpy(&number, at, sizeof(number));
        assert(number == row.row);
        read_length(at + HEADER - LENGTH, row.messages.n);
        at = row.messages.p + row.messages.n;
        assert(rest.p == at && rest.n == (size_t)((const char *)data + size - at));
        read_messages(row.messages);
    }
    assert((r == 0) == (rest.n == 0) && rest.p == at);
    return 0;
}
