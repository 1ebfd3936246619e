/* enginejson.h - the JSON files and answers of container engines: which key holds what. Pure.
 *
 * Values of an unexpected type count as absent. What comes out is bytes to be escaped later.
 */
#pragma once
#include <jansson.h>

#include "discover/facts.h"

/* NULL when it is no JSON, nests too deep, or memory is short. The caller's: json_decref. A NUL in
 * a text of it is read as U+FFFD: a label with one must not hide its container's name. */
json_t *enginejson_parse(struct str text);

/* Sets a text, as facts_set, to the labels in an object of texts: see model/labellist.h. */
void enginejson_labels(char **place, json_t *object);

/* Docker's ROOT/containers/ID/config.v2.json. 0; -ENODATA without a name. */
int enginejson_docker(const json_t *root, struct facts *out);

/* What an OCI bundle's config.json tells besides. */
struct bundle_hints {
    char *docker_dir; /* Docker's folder of the container, from where its /etc/hostname comes */
    char *sandbox_id; /* of its pod */
    char *hostname;
};
void bundle_hints_done(struct bundle_hints *h);

/* The annotations of containerd's CRI plugin, CRI-O, nerdctl. 0; -ENODATA without a name among
 * them, and then *out and *hints may still have got something. */
int enginejson_bundle(const json_t *root, struct facts *out, struct bundle_hints *hints);

/* containers.json of podman and CRI-O. 0; -ENODATA if the id is not in it or has no name. */
int enginejson_storage(const json_t *root, struct str id, struct facts *out);

/* The answer to GET /containers/json of Docker and podman: facts of each container, written by
 * facts_write. How many. */
size_t enginejson_list(const json_t *root, enum runtime runtime, struct buf *out);

/* The answer to GET /containers/ID of CRI-O. 0; -ENODATA. */
int enginejson_crio(const json_t *root, struct facts *out);

/* data-root (or graph) of /etc/docker/daemon.json; empty text if it has none. Borrowed. */
struct str enginejson_data_root(const json_t *root);
