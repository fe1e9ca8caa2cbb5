// SPDX-License-Identifier: Apache-2.0
//
// Stands in for pwrite, fsync and fdatasync of the whole binary. A simulated crash never stops the
// kernel, so nothing is synced; and one write can be made to fail, in each way that a disk has.
#ifndef TESTS_SIM_WRITE_FAULTS_H_
#define TESTS_SIM_WRITE_FAULTS_H_

namespace kt::sim {

enum class WriteFault {
  kNone,
  kNothingWritten,
  kTorn,       // a part of the bytes is written
  kNotSynced,  // all are written, but nobody can know
};

// The next pwrite, or the sync that follows it, fails.
void FailNextWrite(WriteFault fault);

// Whether what was to fail has failed; nothing is to fail afterwards.
bool EndWriteFault();

}  // namespace kt::sim
#endif  // TESTS_SIM_WRITE_FAULTS_H_
