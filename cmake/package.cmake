# cmake --install and cpack -G DEB: the program, its documentation, an example configuration, a systemd unit.
include(GNUInstallDirs)
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)  # only the program is installed: build the target troupe first

install(TARGETS troupe RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES README.md CHANGELOG.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)  # where Debian looks for it
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md")
install(FILES policies/policy_abi.h policies/policy.hpp policies/batch.hpp
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/troupe/policies)
install(FILES policies/examples/deadline.cpp DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
install(FILES packaging/troupe.toml DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
# The unit names the program's place, which is known only now.
install(CODE "
  set(TROUPE_PROGRAM \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/troupe\")
  configure_file(\"${CMAKE_SOURCE_DIR}/packaging/troupe.service.in\" \"${CMAKE_BINARY_DIR}/troupe.service\" @ONLY)")
install(FILES ${CMAKE_BINARY_DIR}/troupe.service DESTINATION lib/systemd/system)

set(CPACK_PACKAGE_NAME troupe)
set(CPACK_PACKAGE_VENDOR "Troupe")
set(CPACK_PACKAGE_CONTACT "The Troupe developers <troupe@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "LLM inference server for CPUs with the OpenAI API")
set(CPACK_PACKAGE_DESCRIPTION
    "Serves large language models from GGUF files and Hugging Face directories over HTTP, server-sent events and WebSocket.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_GENERATOR DEB)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)  # dependencies are those of the libraries that the program is linked with
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS ca-certificates)  # to reach the model hub
include(CPack)
