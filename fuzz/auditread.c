/* Lines of an audit file: what is read as a record is written and read again, and is the same. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/auditread.h"
#include "cmd/incidentlist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void there_and_back(const struct auditread *r) {
    static struct auditread back;
    const struct policy *policy = r->have_policy ? &r->policy : NULL;
    struct buf first, second;

    buf_init(&first, 1 << 20);
    buf_init(&second, 1 << 20);
    audit_add_json(&first, &r->audit, policy);
    assert(auditread_line(buf_str(&first), &back) == 0);
    audit_add_json(&second, &back.audit, back.have_policy ? &back.policy : NULL);
    assert(str_eq(buf_str(&first), buf_str(&second)));
    buf_clear(&first);
    audit_add_line(&first, &r->audit);
    for (size_t i = 0; i < first.n; i++)
        assert((unsigned char)first.p[i] >= ' ' && first.p[i] != 0x7f);
    buf_done(&first);
    buf_done(&second);
}

static void list(struct str text) {
    struct incidentlist l = {.n = 0};

    if (incidentlist_add_lines(&l, text, true) == 0) {
        const struct incident_filter filter = {STR(""), STR("")};
        struct incident *i;
        bool *in, over;

        incidentlist_settle(&l);
        i = calloc(l.n + 1, sizeof(*i));
        in = calloc(l.n + 1, sizeof(*in));
        assert(i && in);
        assert(incidentlist_incidents(&l, &filter, i) <= l.n);
        for (size_t k = 0; k < l.n && k < 16; k++)
            assert(incidentlist_story(&l, str_of(l.record[k].a.id), in, &over) > 0);
        free(i);
        free(in);
    }
    incidentlist_done(&l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct auditread r;
    struct str text = {(const char *)data, size};
    struct auditread_lines lines = {text};
    struct str line;

    while (auditread_next(&lines, &line))
        if (auditread_line(line, &r) == 0)
            there_and_back(&r);
    list(text);
    return 0;
}
