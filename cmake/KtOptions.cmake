# SPDX-License-Identifier: Apache-2.0
# Compiler settings that hold for the whole tree.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

include(GNUInstallDirs)
set(KT_INSTALL_INCLUDEDIR ${CMAKE_INSTALL_INCLUDEDIR}/kt-smime)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

# Without this, CMake compiles for PIE but leaves it to the compiler whether to link so.
include(CheckPIESupported)
check_pie_supported(LANGUAGES CXX)

# Invariant checks (KT_CHECK) do not depend on NDEBUG; assert() is not used. The standard library's
# own checks stay on in every build: an index out of range stops the process and reads nothing.
add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual
                    -Wcast-qual $<$<BOOL:${KT_WARNINGS_ARE_ERRORS}>:-Werror>
                    -fstack-protector-strong -fstack-clash-protection)
add_compile_definitions(_GLIBCXX_ASSERTIONS)
add_link_options(-Wl,-z,relro,-z,now)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  add_compile_options(-Wthread-safety)
endif()

if(KT_SANITIZE)
  add_compile_options(-fsanitize=${KT_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
  add_link_options(-fsanitize=${KT_SANITIZE})
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  # Needs optimisation, and hides calls from the sanitizers. Some compilers predefine it.
  add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
endif()

if(KT_BUILD_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "KT_BUILD_FUZZ needs clang")
  endif()
  # Coverage is counted in all libraries; libFuzzer's main is linked into the fuzz targets only.
  add_compile_options(-fsanitize=fuzzer-no-link)
  add_link_options(-fsanitize=fuzzer-no-link)
endif()

find_program(KT_CCACHE ccache)
if(KT_CCACHE)
  # With paths told from the top of the tree, every checkout shares what the cache holds.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}
      ${KT_CCACHE})
  add_compile_options(-ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)
endif()
