# Stand-ins for the macros that a Slicer build gives to extensions. They hold to what matters for
# a scripted extension: listed files must exist, paths relative to the module's folder are kept,
# both modules share one folder, and that folder is installed as a whole.

include(CMakeParseArguments)

# All listed files go to <build>/<scripted modules>/<path as listed>.
macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(_module "WITH_GENERIC_TESTS;WITH_SUBDIR;VERBOSE" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(_module_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "Unknown keywords: \"${_module_UNPARSED_ARGUMENTS}\"")
  endif()
  if(NOT _module_NAME)
    message(FATAL_ERROR "NAME is mandatory")
  endif()
  if(NOT _module_SCRIPTS)
    message(FATAL_ERROR "SCRIPTS is mandatory")
  endif()

  set(_module_folder "${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}")
  if(_module_WITH_SUBDIR)
    get_filename_component(_module_subdir "${CMAKE_CURRENT_SOURCE_DIR}" NAME)
    string(APPEND _module_folder "/${_module_subdir}")
  endif()

  set(_module_copies)
  foreach(_module_file IN LISTS _module_SCRIPTS _module_RESOURCES)
    set(_module_source "${CMAKE_CURRENT_SOURCE_DIR}/${_module_file}")
    # Slicer lets a script be listed without its suffix.
    if(NOT EXISTS "${_module_source}" AND EXISTS "${_module_source}.py")
      string(APPEND _module_source ".py")
      string(APPEND _module_file ".py")
    endif()
    if(NOT EXISTS "${_module_source}")
      message(FATAL_ERROR "${_module_NAME}: nonexistent file '${_module_file}'")
    endif()
    set(_module_copy "${_module_folder}/${_module_file}")
    add_custom_command(
      OUTPUT "${_module_copy}"
      COMMAND "${CMAKE_COMMAND}" -E copy "${_module_source}" "${_module_copy}"
      DEPENDS "${_module_source}"
      )
    list(APPEND _module_copies "${_module_copy}")
  endforeach()
  add_custom_target(${_module_NAME} ALL DEPENDS ${_module_copies})

  install(
    DIRECTORY "${_module_folder}/"
    DESTINATION ${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}
    COMPONENT RuntimeLibraries
    )
endmacro()

# Exactly <NAME>.py and <NAME>.xml.
macro(SlicerMacroBuildScriptedCLI)
  cmake_parse_arguments(_cli "NO_INSTALL;VERBOSE" "NAME;FOLDER" "" ${ARGN})
  if(NOT _cli_NAME)
    message(FATAL_ERROR "NAME is mandatory")
  endif()
  set(_cli_files
    "${CMAKE_CURRENT_SOURCE_DIR}/${_cli_NAME}.py"
    "${CMAKE_CURRENT_SOURCE_DIR}/${_cli_NAME}.xml"
    )
  foreach(_cli_file IN LISTS _cli_files)
    if(NOT EXISTS "${_cli_file}")
      message(FATAL_ERROR "${_cli_NAME}: nonexistent file '${_cli_file}'")
    endif()
  endforeach()
  file(COPY ${_cli_files} DESTINATION "${CMAKE_BINARY_DIR}/${Slicer_CLIMODULES_BIN_DIR}")
  if(NOT _cli_NO_INSTALL)
    install(FILES ${_cli_files} DESTINATION ${Slicer_INSTALL_CLIMODULES_BIN_DIR} COMPONENT Runtime)
  endif()
endmacro()

# Slicer runs <SCRIPT>'s test class in its application, which is not here.
macro(slicer_add_python_unittest)
  cmake_parse_arguments(_unittest "" "SCRIPT;TESTNAME_PREFIX" "SLICER_ARGS" ${ARGN})
  if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${_unittest_SCRIPT}")
    message(FATAL_ERROR "slicer_add_python_unittest: nonexistent file '${_unittest_SCRIPT}'")
  endif()
endmacro()
