// The functions of libX11 that Taichi's library is linked with, for its windows, which nothing here opens.
// Built as libX11.so.6 by kernels/aot/stubs.py: a machine that compiles kernels may have no desktop.
#include <cstdlib>

#define DIFFRT_NEVER_CALLED(name) \
  extern "C" void name() { std::abort(); }

DIFFRT_NEVER_CALLED(XChangeProperty)
DIFFRT_NEVER_CALLED(XCloseDisplay)
DIFFRT_NEVER_CALLED(XCreateImage)
DIFFRT_NEVER_CALLED(XCreateSimpleWindow)
DIFFRT_NEVER_CALLED(XInternAtom)
DIFFRT_NEVER_CALLED(XKeysymToString)
DIFFRT_NEVER_CALLED(XLookupKeysym)
DIFFRT_NEVER_CALLED(XMapWindow)
DIFFRT_NEVER_CALLED(XNextEvent)
DIFFRT_NEVER_CALLED(XOpenDisplay)
DIFFRT_NEVER_CALLED(XPending)
DIFFRT_NEVER_CALLED(XPutImage)
DIFFRT_NEVER_CALLED(XSelectInput)
DIFFRT_NEVER_CALLED(XSetWMProtocols)
DIFFRT_NEVER_CALLED(XStoreName)
