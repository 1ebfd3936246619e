/* Frames and the handshake's answer, as a server may send them. */
#include <assert.h>

#include "net/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str text = {(const char *)data, size};
    struct websocket_frame f;
    int r = websocket_parse_head(text, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");

    assert(r <= (int)size);
    while (websocket_parse(text, &f) == 1) {
        assert(f.size >= 2 && f.size <= text.n);
        assert(f.payload.p >= text.p && f.payload.p + f.payload.n == text.p + f.size);
        assert(f.op < WEBSOCKET_CLOSE || (f.last && f.payload.n <= 125));
        text = str_from(text, f.size);
    }
    return 0;
}
