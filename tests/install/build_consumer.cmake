# SPDX-License-Identifier: Apache-2.0
#
# Installs below WORK_DIR, moves what was installed, builds the consumer against it, and runs it: the
# package may not depend on where it was built or first installed.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output
                  ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${ARGN} ended with ${result}:\n${output}")
  endif()
endfunction()

file(REMOVE_RECURSE ${WORK_DIR})
run(${CMAKE_COMMAND} -E env DESTDIR=${WORK_DIR}/stage ${CMAKE_COMMAND} --install ${BUILD_DIR}
    --prefix /usr --component development)
file(RENAME ${WORK_DIR}/stage/usr ${WORK_DIR}/moved)

file(GLOB_RECURSE installed ${WORK_DIR}/moved/*.cmake)
foreach(path ${installed})
  file(READ ${path} text)
  foreach(place ${BUILD_DIR} ${WORK_DIR})
    string(FIND "${text}" ${place} found)
    if(NOT found EQUAL -1)
      message(FATAL_ERROR "${path} names ${place}")
    endif()
  endforeach()
endforeach()

run(${CMAKE_COMMAND} -S ${CONSUMER} -B ${WORK_DIR}/build -G ${GENERATOR}
    -D CMAKE_MAKE_PROGRAM=${MAKE_PROGRAM} -D CMAKE_CXX_COMPILER=${CXX}
    -D CMAKE_PREFIX_PATH=${WORK_DIR}/moved)
run(${CMAKE_COMMAND} --build ${WORK_DIR}/build)
run(${WORK_DIR}/build/consumer ${WORK_DIR}/state)
