// DIFFRT_API: what libdiffrt.so lets other programs see. All else in it is hidden, so that nothing of it,
// Eigen's functions above all, is mistaken by the loader for the same of a program that was compiled
// otherwise.
#pragma once

#define DIFFRT_API __attribute__((visibility("default")))
