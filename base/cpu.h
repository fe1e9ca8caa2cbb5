// SPDX-License-Identifier: Apache-2.0
//
// Which instruction sets this process may use beyond those that its compiler assumed.
#ifndef BASE_CPU_H_
#define BASE_CPU_H_

namespace kt::base {

// Whether processor and operating system offer what a file compiled with AVX-512 F, DQ, BW, VL and
// IFMA and with BMI2 needs (CPUID, and the register state that XGETBV reports), and vector paths
// were not switched off. Constant after the first call; thread-safe.
bool HasAvx512Ifma();

// The same for what a file compiled with the SHA extensions and SSE 4.1 needs.
bool HasShaExtensions();

// Makes both false for the whole process. Must come before the first question, as a program does
// that reads its configuration: code that has chosen does not choose again.
void DisableVectorPaths();

}  // namespace kt::base
#endif  // BASE_CPU_H_
