/* --format as a user may type it; then every part is printed. */
#include "cmd/template.h"

#include <assert.h>
#include <string.h>

#include "cmd/statsview.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct template t = {.parts = 77};
    struct err err = {.text = ""};
    struct buf b;
    int r = template_parse((struct str){(const char *)data, size}, stats_fields, stats_fields_n, &t,
                           &err);

    if (r < 0) {
        assert(t.parts == 77 && t.text == NULL && err.text[0] != '\0' && err.code == r);
        return 0;
    }
    assert(t.parts <= TEMPLATE_PARTS && (!t.whole || t.parts == 0));
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < t.parts; i++)
        if (t.part[i].field < 0) {
            assert(t.part[i].text.n > 0);
            buf_add(&b, t.part[i].text);
        } else {
            assert((size_t)t.part[i].field < stats_fields_n);
            template_add_field(&b, t.part[i].function, (struct str){(const char *)data, size % 99},
                               size & 1);
        }
    buf_done(&b);
    template_done(&t);
    return 0;
}
