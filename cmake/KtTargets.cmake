# SPDX-License-Identifier: Apache-2.0

# kt_library(NAME SOURCES a.cc ... DEPS target ... PRIVATE_DEPS target ...)
# One library a folder; headers are included from the top of the tree, as "folder/file.h".
function(kt_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>
                                            $<INSTALL_INTERFACE:${KT_INSTALL_INCLUDEDIR}>)
  target_link_libraries(${name} PUBLIC ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
endfunction()

# kt_for_embedding(target ...): libraries of which mail programs carry a copy. Each function and object has a section of
# its own, so that a linker told --gc-sections leaves out what is not called.
function(kt_for_embedding)
  foreach(target ${ARGN})
    target_compile_options(${target} PRIVATE -ffunction-sections -fdata-sections)
  endforeach()
endfunction()

# kt_for_size(target ...): libraries that wait for the network, the disk or OpenSSL, where -O3 adds
# a third to the code and nothing to the speed.
function(kt_for_size)
  foreach(target ${ARGN})
    target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O2>)
  endforeach()
endfunction()

# Debian's abseil hides its locks from the thread sanitizer; see the file.
if(KT_SANITIZE STREQUAL "thread")
  add_library(kt_tsan_absl_mutex OBJECT ${PROJECT_SOURCE_DIR}/tests/support/tsan_absl_mutex.cc)
  target_link_libraries(kt_tsan_absl_mutex PUBLIC absl::synchronization ${CMAKE_DL_LIBS})
endif()

# kt_executable(NAME SOURCES a.cc ... DEPS target ...)
# Every program, test and benchmark is declared with this, never with add_executable().
function(kt_executable name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS})
  if(TARGET kt_tsan_absl_mutex)
    target_link_libraries(${name} PRIVATE kt_tsan_absl_mutex)
  endif()
endfunction()

# kt_test(NAME SOURCES a_test.cc ... DEPS target ... [TIMEOUT seconds])
# One test binary a folder; ctest runs it as a whole, since starting a process a case costs more than the case.
function(kt_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPS" ${ARGN})
  kt_executable(${name} SOURCES ${ARG_SOURCES} DEPS ${ARG_DEPS} GTest::gmock GTest::gtest GTest::gtest_main
                kt_test_paths)
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 900)
  endif()
  add_test(NAME ${name} COMMAND ${name})
  set_property(GLOBAL APPEND PROPERTY KT_TESTS ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT})
endfunction()

# For folders in which GCC 12 takes growth, comparison or concatenation of strings and byte vectors for
# overflows (GCC bugs 105329, 105651); clang and the sanitizers watch those places.
macro(kt_no_gcc12_false_positives)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wno-restrict -Wno-stringop-overread -Wno-stringop-overflow)
  endif()
endmacro()

# Whether files can be compiled for AVX-512 IFMA and for the SHA extensions; whether they are used, the
# program decides on each machine.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
  set(KT_WITH_AVX512_IFMA ON)
  set(KT_WITH_SHA_EXTENSIONS ON)
endif()

# kt_compile_for_avx512_ifma(a.cc ...): for files of the current folder, and never for a target as a whole.
# GCC 12 warns of its own header, in which undefined registers are made (GCC bug 105593).
function(kt_compile_for_avx512_ifma)
  set(options -mavx512f -mavx512dq -mavx512bw -mavx512vl -mavx512ifma -mbmi2)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    list(APPEND options -Wno-uninitialized -Wno-maybe-uninitialized)
  endif()
  set_source_files_properties(${ARGN} PROPERTIES COMPILE_OPTIONS "${options}")
endfunction()
