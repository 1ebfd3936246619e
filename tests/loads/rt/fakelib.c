/* A library with nothing in it, to be mapped under another's name. */
int fakelib_nothing(void);

int fakelib_nothing(void) {
    return 0;
}
