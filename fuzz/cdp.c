/* What an inspector may say: a message of the protocol, and a heap snapshot. */
#include <assert.h>

#include "runtime/cdp.h"
#include "runtime/nodesnap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_message(struct str text) {
    json_t *root = NULL;

    if (cdp_parse(text, &root) < 0)
        return;
    assert(json_is_object(root));
    (void)cdp_text(root, "result.result.objectId");
    (void)cdp_text(root, "params.chunk");
    json_decref(root);
}

static void read_snapshot(struct str text) {
    struct nodesnap *snap;
    struct tally *types;
    size_t half = text.n / 2;

    if (nodesnap_new(&snap) < 0)
        return;
    if (tally_new(&types) == 0) {
        uint64_t objects = 0;

        if (nodesnap_feed(snap, str_head(text, half)) == 0 &&
            nodesnap_feed(snap, str_from(text, half)) == 0 && nodesnap_finish(snap, types) == 0) {
            for (size_t i = 0; i < tally_n(types); i++)
                objects += tally_row(types, i)->count;
            assert(objects <= nodesnap_objects(snap));
        }
        tally_free(types);
    }
    nodesnap_free(snap);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str text = {(const char *)data, size};

    read_message(text);
    read_snapshot(text);
    return 0;
}
