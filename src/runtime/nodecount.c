#include "runtime/nodecount.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>

#include "runtime/nodesnap.h"

/* ---- modules ---- */

static const char kit_of_its_own[] =
    "new Promise((done, failed) => setTimeout(() => {"
    " try {"
    "  const main = process.mainModule;"
    "  const load = process.getBuiltinModule || (main && main.require.bind(main));"
    "  done(load ? { v8: load('v8'), types: load('util').types } : undefined);"
    " } catch (e) { failed(e); }"
    "}, 0))";

/* The console's require: for programs of ES modules in Node before 20.16. */
static const char kit_of_the_console[] = "({ v8: require('v8'), types: require('util').types })";

static int take_kit(struct cdp *c, const char *expression, bool console, int64_t deadline_us,
                    char out[NODE_KIT]) {
    json_t *result = NULL;
    struct str id;
    int r = cdp_call(c, "Runtime.evaluate",
                     json_pack("{s:s, s:b, s:b, s:b}", "expression", expression, "awaitPromise", 1,
                               "includeCommandLineAPI", console, "silent", 1),
                     deadline_us, &result);

    if (r < 0)
        return r;
    id = cdp_text(result, "result.objectId");
    r = -ENOENT;
    if (id.n > 0 && !json_object_get(result, "exceptionDetails"))
        r = str_copy(id, out, NODE_KIT) == 0 ? 0 : -EBADMSG;
    json_decref(result);
    return r;
}

int node_get_kit(struct cdp *c, int64_t deadline_us, char out[NODE_KIT]) {
    int r = take_kit(c, kit_of_its_own, false, deadline_us, out);

    if (r == -ENOENT)
        r = take_kit(c, kit_of_the_console, true, deadline_us, out);
    return r == -ENOENT ? -EBADMSG : r;
}

int node_with_kit(struct cdp *c, const char *kit, const char *function, int64_t deadline_us,
                  json_t **value) {
    json_t *result = NULL;
    const json_t *said;
    int r = cdp_call(c, "Runtime.callFunctionOn",
                     json_pack("{s:s, s:s, s:b, s:b}", "functionDeclaration", function, "objectId",
                               kit, "returnByValue", 1, "silent", 1),
                     deadline_us, &result);

    if (r < 0)
        return r;
    said = cdp_at(result, "result.value");
    r = said && !json_object_get(result, "exceptionDetails") ? 0 : -EBADMSG;
    if (r == 0)
        *value = json_deep_copy(said);
    json_decref(result);
    return r == 0 && !*value ? -ENOMEM : r;
}

/* ---- counted ---- */

/* Runs in the program, with the list as `this`. No code of the program is called by it: no getters,
 * no traps of proxies. 20000 names are more than anybody reads; the rest is one row. */
static const char count_by_constructor[] =
    "function(kit) {"
    " const types = kit.types;"
    " const named = new Map(), counts = new Map();"
    " const own = (o, key) => {"
    "  const found = Object.getOwnPropertyDescriptor(o, key);"
    "  return found === undefined ? undefined : found.value;"
    " };"
    " const nameOf = (prototype) => {"
    "  for (let p = prototype; p !== null; p = Object.getPrototypeOf(p)) {"
    "   if (types.isProxy(p)) return '(proxy)';"
    "   const made = own(p, 'constructor');"
    "   if (typeof made !== 'function') continue;"
    "   if (types.isProxy(made)) return '(proxy)';"
    "   const name = own(made, 'name');"
    "   return typeof name === 'string' && name !== '' ? name.slice(0, 200) : '(no name)';"
    "  }"
    "  return '(no constructor)';"
    " };"
    " for (let i = 0; i < this.length; i++) {"
    "  const prototype = Object.getPrototypeOf(this[i]);"
    "  let name = named.get(prototype);"
    "  if (name === undefined) {"
    "   name = counts.size < 20000 ? nameOf(prototype) : '(others)';"
    "   named.set(prototype, name);"
    "  }"
    "  counts.set(name, (counts.get(name) || 0) + 1);"
    " }"
    " return Array.from(counts);"
    "}";

static int take_rows(const json_t *rows, struct tally *into) {
    const json_t *row;
    size_t i;
    int r = json_is_array(rows) ? 0 : -EBADMSG;

    for (i = 0; i < json_array_size(rows) && r == 0; i++) {
        const json_t *name, *count;

        row = json_array_get(rows, i);
        name = json_array_get(row, 0);
        count = json_array_get(row, 1);
        if (!json_is_string(name) || !json_is_integer(count) || json_integer_value(count) < 0)
            return -EBADMSG;
        r = tally_add(into, (struct str){json_string_value(name), json_string_length(name)},
                      (uint64_t)json_integer_value(count), 0, false);
    }
    return r;
}

static int count_list(struct cdp *c, struct str list, const char *kit, int64_t deadline_us,
                      struct tally *into) {
    json_t *result = NULL;
    int r = cdp_call(c, "Runtime.callFunctionOn",
                     json_pack("{s:s, s:s%, s:[{s:s}], s:b, s:b}", "functionDeclaration",
                               count_by_constructor, "objectId", list.p, list.n, "arguments",
                               "objectId", kit, "returnByValue", 1, "silent", 1),
                     deadline_us, &result);

    if (r == 0)
        r = take_rows(cdp_at(result, "result.value"), into);
    json_decref(result);
    return r;
}

int node_count_objects(struct cdp *c, const char *kit, int64_t deadline_us, struct tally *into) {
    json_t *root = NULL, *found = NULL;
    struct str root_id, list_id = STR("");
    int r = cdp_call(c, "Runtime.evaluate",
                     json_pack("{s:s, s:b}", "expression", "Object.prototype", "silent", 1),
                     deadline_us, &root);

    if (r == 0) {
        root_id = cdp_text(root, "result.objectId");
        r = cdp_call(c, "Runtime.queryObjects",
                     json_pack("{s:s%}", "prototypeObjectId", root_id.p, root_id.n), deadline_us,
                     &found);
    }
    if (r == 0)
        list_id = cdp_text(found, "objects.objectId");
    if (r == 0)
        r = list_id.n > 0 ? count_list(c, list_id, kit, deadline_us, into) : -EBADMSG;
    /* At once, not only when the session ends: the list keeps every object alive. */
    if (list_id.n > 0)
        (void)cdp_send(c, "Runtime.releaseObject",
                       json_pack("{s:s%}", "objectId", list_id.p, list_id.n), deadline_us);
    json_decref(root);
    json_decref(found);
    return r;
}

/* ---- workers ---- */

static int take_worker(void *ctx, struct str method, const json_t *params) {
    unsigned *n = ctx;

    (void)params;
    *n += str_eq(method, STR("NodeWorker.attachedToWorker")) && *n < UINT_MAX;
    return 0;
}

/* A session with each is opened for it, and ended at once; they run on. */
unsigned node_count_workers(struct cdp *c, int64_t deadline_us) {
    unsigned n = 0;
    int r;

    c->event = take_worker;
    c->ctx = &n;
    r = cdp_call(c, "NodeWorker.enable", json_pack("{s:b}", "waitForDebuggerOnStart", 0),
                 deadline_us, NULL);
    c->event = NULL;
    c->ctx = NULL;
    if (r == 0)
        (void)cdp_call(c, "NodeWorker.disable", NULL, deadline_us, NULL);
    return n;
}

/* ---- weighed ---- */

struct chunks {
    struct nodesnap *snap;
    int error;
};

static int take_chunk(void *ctx, struct str method, const json_t *params) {
    struct chunks *c = ctx;

    if (str_eq(method, STR("HeapProfiler.addHeapSnapshotChunk")) && c->error == 0)
        c->error = nodesnap_feed(c->snap, cdp_text(params, "chunk"));
    return 0; /* what still comes must be read: the program has written it */
}

int node_weigh_objects(struct cdp *c, int64_t deadline_us, struct tally *into) {
    struct chunks chunks = {.error = 0};
    int r = nodesnap_new(&chunks.snap);

    if (r < 0)
        return r;
    c->event = take_chunk;
    c->ctx = &chunks;
    r = cdp_call(c, "HeapProfiler.takeHeapSnapshot", json_pack("{s:b}", "reportProgress", 0),
                 deadline_us, NULL);
    c->event = NULL;
    c->ctx = NULL;
    if (r == 0)
        r = nodesnap_finish(chunks.snap, into);
    nodesnap_free(chunks.snap);
    return r;
}
