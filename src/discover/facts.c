#include "discover/facts.h"

#include <errno.h>

#include "base/mem.h"

#define TEXTS(f)                                                                                   \
    {                                                                                              \
        &(f)->id, &(f)->name, &(f)->image, &(f)->pod, &(f)->namespace, &(f)->pod_uid,              \
            &(f)->container, &(f)->labels                                                          \
    }
enum { TEXTS_N = 8 };

void facts_done(struct facts *f) {
    char **texts[TEXTS_N] = TEXTS(f);

    for (size_t i = 0; i < TEXTS_N; i++)
        free(*texts[i]);
    *f = (struct facts){0};
}

void facts_set(char **place, struct str text) {
    char *copy = NULL;

    text = str_head(text, FACTS_TEXT_MAX);
    if (text.n > 0) {
        copy = malloc(text.n + 1);
        if (!copy)
            return;
        memcpy(copy, text.p, text.n);
        copy[text.n] = '\0';
    }
    free(*place);
    *place = copy;
}

void facts_name(struct facts *f, struct str name, enum target_source source) {
    if (name.n == 0)
        return;
    facts_set(&f->name, name);
    f->source = source;
}

bool facts_split_k8s(struct facts *f, struct str name) {
    struct str container, pod, namespace, uid;

    /* none of the parts may hold '_' by Kubernetes' rules of naming */
    if (!str_skip(&name, STR("k8s_")) || !str_cut(&name, '_', &container) ||
        !str_cut(&name, '_', &pod) || !str_cut(&name, '_', &namespace))
        return false;
    if (!str_cut(&name, '_', &uid))
        uid = name;
    facts_set(&f->pod, pod);
    facts_set(&f->namespace, namespace);
    facts_set(&f->pod_uid, uid);
    f->sandbox = str_eq(container, STR("POD"));
    f->no_sandbox = !f->sandbox;
    if (f->no_sandbox)
        facts_set(&f->container, container);
    return true;
}

/* Texts hold no NUL, so that ends them; an absent one is empty. */
void facts_write(const struct facts *f, struct buf *out) {
    const char *texts[TEXTS_N] = {f->id,        f->name,    f->image,     f->pod,
                                  f->namespace, f->pod_uid, f->container, f->labels};

    buf_add_char(out, (char)('a' + f->runtime));
    buf_add_char(out, (char)('a' + f->source));
    buf_add_char(out, f->sandbox ? 's' : f->no_sandbox ? 'n' : '-');
    for (size_t i = 0; i < TEXTS_N; i++) {
        buf_add(out, str_of(texts[i]));
        buf_add_char(out, '\0');
    }
}

int facts_read(struct str *rest, struct facts *out) {
    struct facts f = {0};
    char **texts[TEXTS_N] = TEXTS(&f);
    struct str s = *rest;
    int runtime, source;

    if (s.n < 3)
        return -EBADMSG;
    runtime = s.p[0] - 'a';
    source = s.p[1] - 'a';
    if (runtime < 0 || runtime >= RUNTIME_N || source < 0 || source >= SOURCE_N)
        return -EBADMSG;
    f.runtime = (enum runtime)runtime;
    f.source = (enum target_source)source;
    f.sandbox = s.p[2] == 's';
    f.no_sandbox = s.p[2] == 'n';
    s = str_from(s, 3);
    for (size_t i = 0; i < TEXTS_N; i++) {
        struct str text;

        if (!str_cut(&s, '\0', &text)) {
            facts_done(&f);
            return -EBADMSG;
        }
        facts_set(texts[i], text);
    }
    *rest = s;
    *out = f;
    return 0;
}
