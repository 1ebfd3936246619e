/* facts.h - what was found out about one container: texts that are owned, absent ones NULL. */
#pragma once
#include "base/buf.h"
#include "model/target.h"

enum { FACTS_TEXT_MAX = 4096 };

struct facts {
    char *id, *name, *image, *pod, *namespace, *pod_uid, *container;
    char *labels;              /* as in model/labellist.h */
    enum runtime runtime;      /* RUNTIME_NONE: nothing new about it */
    enum target_source source; /* of the name */
    bool sandbox, no_sandbox;  /* said to be a pod's sandbox, or said to be none */
};

void facts_done(struct facts *f); /* leaves it zeroed */

/* Replaces a text. Longer ones are cut at FACTS_TEXT_MAX, empty ones become NULL, and no memory
 * leaves the old one. */
void facts_set(char **place, struct str text);

/* The name, and who told it. */
void facts_name(struct facts *f, struct str name, enum target_source source);

/* Kubernetes' names for containers of Docker and CRI-O, k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT:
 * takes them apart. POD as container is the sandbox. false if it is none. */
bool facts_split_k8s(struct facts *f, struct str name);

/* One line of text for a pipe, and back; a list of facts is several of them. -EBADMSG when it is
 * none; *rest is moved behind it. */
void facts_write(const struct facts *f, struct buf *out);
int facts_read(struct str *rest, struct facts *out);
