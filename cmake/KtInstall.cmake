# SPDX-License-Identifier: Apache-2.0
#
# cmake --install build/release [--component runtime | --component development]
#
#   runtime      the programs that were built
#   development  what a mail program embeds: static libraries, the headers of the embedding API, and
#                the package that find_package(kt-smime) finds; its target is kt-smime::client

include(CMakePackageConfigHelpers)

foreach(program kt_server kt_client kt_auditor)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT runtime)
  endif()
endforeach()
install(FILES LICENSE README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR}
        COMPONENT runtime)

if(NOT TARGET kt_client_lib)
  return()
endif()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/kt-smime)
install(TARGETS kt_base kt_vrf kt_merkle kt_core kt_smime kt_proto kt_client_lib
        EXPORT kt-smime-targets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}/kt-smime COMPONENT development)
install(EXPORT kt-smime-targets NAMESPACE kt-smime:: DESTINATION ${package_dir}
        COMPONENT development)

# What client.h needs; the rest is not for others to include.
install(DIRECTORY base smime DESTINATION ${KT_INSTALL_INCLUDEDIR} COMPONENT development
        FILES_MATCHING PATTERN "*.h")
install(FILES kt-client/client.h kt-client/dns_trust.h kt-client/failure.h
        DESTINATION ${KT_INSTALL_INCLUDEDIR}/kt-client COMPONENT development)

configure_package_config_file(cmake/kt-smime-config.cmake.in
                              ${CMAKE_CURRENT_BINARY_DIR}/kt-smime-config.cmake
                              INSTALL_DESTINATION ${package_dir})
# Until 1.0.0 interfaces may change between minor versions.
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/kt-smime-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/kt-smime-config.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/kt-smime-config-version.cmake
        DESTINATION ${package_dir} COMPONENT development)
