/* JSON of engines, read as each of the kinds it may be, and what is found sent through a pipe's
 * format and back. */
#include <assert.h>
#include <string.h>

#include "discover/enginejson.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void there_and_back(const struct facts *f) {
    struct buf b;
    struct str rest;
    struct facts back;

    buf_init(&b, 1 << 20);
    facts_write(f, &b);
    rest = buf_str(&b);
    assert(facts_read(&rest, &back) == 0 && rest.n == 0);
    assert(!f->name == !back.name && (!f->name || strcmp(f->name, back.name) == 0));
    assert(!f->labels == !back.labels && (!f->labels || strcmp(f->labels, back.labels) == 0));
    facts_done(&back);
    buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str text = {(const char *)data, size}, raw = text;
    struct facts f = {0};
    struct bundle_hints hints = {0};
    json_t *json;
    struct buf b;

    if (facts_read(&raw, &f) == 0)
        there_and_back(&f);
    facts_done(&f);
    json = enginejson_parse(text);
    if (!json)
        return 0;
    buf_init(&b, 1 << 20);
    assert((enginejson_docker(json, &f) == 0) == (f.name != NULL));
    there_and_back(&f);
    facts_done(&f);
    (void)enginejson_bundle(json, &f, &hints);
    there_and_back(&f);
    bundle_hints_done(&hints);
    facts_done(&f);
    (void)enginejson_storage(json, STR("id"), &f);
    facts_done(&f);
    (void)enginejson_crio(json, &f);
    facts_done(&f);
    (void)enginejson_list(json, RUNTIME_DOCKER, &b);
    (void)enginejson_data_root(json);
    buf_done(&b);
    json_decref(json);
    return 0;
}
