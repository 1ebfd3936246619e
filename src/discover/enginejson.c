#include "discover/enginejson.h"

#include <errno.h>

#include <string.h>

#include "base/mem.h"
#include "model/labellist.h"

/* \u0000, which jansson refuses in keys, becomes \ufffd. False: there is none. */
static bool replace_nuls(char *p, size_t n) {
    bool any = false;

    for (size_t i = 0; i + 1 < n; i++) {
        if (p[i] != '\\')
            continue;
        i++;
        if (n - i >= 5 && memcmp(&p[i], "u0000", 5) == 0) {
            memcpy(&p[i], "ufffd", 5);
            any = true;
        }
    }
    return any;
}

json_t *enginejson_parse(struct str text) {
    json_t *json = json_loadb(text.p, text.n, 0, NULL);
    auto_free char *copy = NULL;

    if (json || text.n == 0)
        return json;
    copy = malloc(text.n);
    if (!copy)
        return NULL;
    memcpy(copy, text.p, text.n);
    return replace_nuls(copy, text.n) ? json_loadb(copy, text.n, 0, NULL) : NULL;
}

static struct str text_at(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);

    if (!json_is_string(value))
        return (struct str){0};
    return (struct str){json_string_value(value), json_string_length(value)};
}

static void set_from(char **place, const json_t *object, const char *key) {
    struct str text = text_at(object, key);

    if (text.n > 0)
        facts_set(place, text);
}

static void add_labels(struct labellist *l, json_t *object, bool (*wanted)(struct str key)) {
    const char *key;
    json_t *value;

    json_object_foreach(object, key, value) {
        if (json_is_string(value) && (!wanted || wanted(str_of(key))))
            labellist_add(l, str_of(key), text_at(object, key));
    }
}

static void set_labels(char **place, const struct labellist *l) {
    struct buf text;

    buf_init(&text, LABELS_BYTES);
    labellist_write(l, &text);
    if (text.n > 0 && buf_error(&text) == 0)
        facts_set(place, buf_str(&text));
    buf_done(&text);
}

void enginejson_labels(char **place, json_t *object) {
    struct labellist l = {.n = 0};

    add_labels(&l, object, NULL);
    set_labels(place, &l);
}

/* Annotations of a bundle that are not an engine's own notes: nerdctl and others copy a container's
 * labels there. */
static bool is_label(struct str note) {
    static const char *const own[] = {"io.kubernetes.cri.", "io.kubernetes.cri-o.",
                                      "io.podman.",         "io.container.",
                                      "io.containerd.",     "nerdctl/",
                                      "org.systemd.",       "run.oci."};

    if (str_starts(note, STR("io.podman.compose.")))
        return true;
    for (size_t i = 0; i < ARRAY_N(own); i++)
        if (str_starts(note, str_of(own[i])))
            return false;
    return true;
}

/* CRI-O keeps the labels as JSON in an annotation, beside those of the pod. */
static void take_bundle_labels(json_t *notes, struct facts *out) {
    struct str crio = text_at(notes, "io.kubernetes.cri-o.Labels");
    struct labellist l = {.n = 0};
    json_t *labels = crio.n > 0 ? enginejson_parse(crio) : NULL;

    if (crio.n > 0)
        add_labels(&l, labels, NULL);
    else
        add_labels(&l, notes, is_label);
    set_labels(&out->labels, &l);
    json_decref(labels);
}

/* The labels that the kubelet gives to the containers it makes, in any engine. */
static void take_kubelet_labels(const json_t *labels, struct facts *out) {
    struct str container = text_at(labels, "io.kubernetes.container.name");
    struct str type = text_at(labels, "io.kubernetes.docker.type");

    set_from(&out->pod, labels, "io.kubernetes.pod.name");
    set_from(&out->namespace, labels, "io.kubernetes.pod.namespace");
    set_from(&out->pod_uid, labels, "io.kubernetes.pod.uid");
    if (str_eq(container, STR("POD")) || str_eq(type, STR("podsandbox")))
        out->sandbox = true;
    else if (container.n > 0) {
        facts_set(&out->container, container);
        out->no_sandbox = true;
    }
}

int enginejson_docker(const json_t *root, struct facts *out) {
    const json_t *config = json_object_get(root, "Config");
    struct str name = text_at(root, "Name");

    /* The text "Image" is in it twice: at the top, where it is a digest, and in Config, where it is
     * what the user wrote. */
    (void)str_skip(&name, STR("/"));
    set_from(&out->image, config, "Image");
    set_from(&out->id, root, "ID");
    out->runtime = RUNTIME_DOCKER;
    facts_split_k8s(out, name);
    take_kubelet_labels(json_object_get(config, "Labels"), out);
    enginejson_labels(&out->labels, json_object_get(config, "Labels"));
    if (name.n == 0)
        return -ENODATA;
    facts_name(out, name, SOURCE_DOCKER_FILE);
    return 0;
}

void bundle_hints_done(struct bundle_hints *h) {
    free(h->docker_dir);
    free(h->sandbox_id);
    free(h->hostname);
    *h = (struct bundle_hints){0};
}

static void take_hints(const json_t *root, const json_t *annotations, struct bundle_hints *hints) {
    const json_t *mount;
    size_t i;

    set_from(&hints->hostname, root, "hostname");
    set_from(&hints->sandbox_id, annotations, "io.kubernetes.cri.sandbox-id");
    set_from(&hints->sandbox_id, annotations, "io.kubernetes.cri-o.SandboxID");
    json_array_foreach(json_object_get(root, "mounts"), i, mount) {
        struct str source = text_at(mount, "source");

        if (!str_eq(text_at(mount, "destination"), STR("/etc/hostname")) ||
            !str_drop(&source, STR("/hostname")))
            continue;
        facts_set(&hints->docker_dir, source);
        return;
    }
}

int enginejson_bundle(const json_t *root, struct facts *out, struct bundle_hints *hints) {
    json_t *notes = json_object_get(root, "annotations");
    struct str type = text_at(notes, "io.kubernetes.cri.container-type");
    struct str crio_type = text_at(notes, "io.kubernetes.cri-o.ContainerType");
    struct str name;

    take_hints(root, notes, hints);
    take_kubelet_labels(notes, out);
    take_bundle_labels(notes, out);
    set_from(&out->pod, notes, "io.kubernetes.cri.sandbox-name");
    set_from(&out->namespace, notes, "io.kubernetes.cri.sandbox-namespace");
    set_from(&out->pod_uid, notes, "io.kubernetes.cri.sandbox-uid");
    set_from(&out->image, notes, "io.kubernetes.cri.image-name");
    set_from(&out->container, notes, "io.kubernetes.cri.container-name");
    set_from(&out->pod, notes, "io.kubernetes.cri-o.KubeName");
    set_from(&out->namespace, notes, "io.kubernetes.cri-o.Namespace");
    set_from(&out->image, notes, "io.kubernetes.cri-o.ImageName");
    if (type.n == 0)
        type = crio_type;
    if (type.n > 0) {
        out->sandbox = str_eq(type, STR("sandbox"));
        out->no_sandbox = !out->sandbox;
    }
    name = text_at(notes, "nerdctl/name");
    if (name.n == 0)
        name = str_of(out->sandbox ? out->pod : out->container);
    if (name.n == 0)
        return -ENODATA;
    facts_name(out, name, SOURCE_BUNDLE);
    return 0;
}

int enginejson_storage(const json_t *root, struct str id, struct facts *out) {
    const json_t *entry;
    size_t i;

    json_array_foreach(root, i, entry) {
        const json_t *first = json_array_get(json_object_get(entry, "names"), 0);
        struct str metadata = text_at(entry, "metadata"), name = {0};
        json_t *inner;

        if (!str_eq(text_at(entry, "id"), id))
            continue;
        if (json_is_string(first))
            name = (struct str){json_string_value(first), json_string_length(first)};
        inner = metadata.n > 0 ? enginejson_parse(metadata) : NULL; /* JSON in a string */
        set_from(&out->image, inner, "image-name");
        /* `podman rename` changes names[], not the metadata */
        if (name.n == 0)
            name = text_at(inner, "name");
        facts_split_k8s(out, name);
        facts_name(out, name, SOURCE_STORAGE_FILE);
        json_decref(inner);
        return name.n > 0 ? 0 : -ENODATA;
    }
    return -ENODATA;
}

size_t enginejson_list(const json_t *root, enum runtime runtime, struct buf *out) {
    const json_t *entry;
    size_t i, n = 0;

    json_array_foreach(root, i, entry) {
        const json_t *first = json_array_get(json_object_get(entry, "Names"), 0);
        struct facts f = {.runtime = runtime};
        struct str name = {0};

        if (json_is_string(first))
            name = (struct str){json_string_value(first), json_string_length(first)};
        (void)str_skip(&name, STR("/"));
        set_from(&f.id, entry, "Id");
        set_from(&f.image, entry, "Image");
        facts_split_k8s(&f, name);
        take_kubelet_labels(json_object_get(entry, "Labels"), &f);
        enginejson_labels(&f.labels, json_object_get(entry, "Labels"));
        facts_name(&f, name, SOURCE_SOCKET);
        if (f.id && f.name) {
            facts_write(&f, out);
            n++;
        }
        facts_done(&f);
    }
    return n;
}

int enginejson_crio(const json_t *root, struct facts *out) {
    struct str name = text_at(root, "name");

    set_from(&out->image, root, "image");
    facts_split_k8s(out, name);
    take_kubelet_labels(json_object_get(root, "labels"), out);
    enginejson_labels(&out->labels, json_object_get(root, "labels"));
    out->runtime = RUNTIME_CRIO;
    if (out->container)
        name = str_of(out->container);
    if (name.n == 0)
        return -ENODATA;
    facts_name(out, name, SOURCE_SOCKET);
    return 0;
}

struct str enginejson_data_root(const json_t *root) {
    struct str found = text_at(root, "data-root");

    return found.n > 0 ? found : text_at(root, "graph");
}
