# Slicer writes <project>Config.cmake and the extension's description here; it refuses an
# extension that lacks one of these.
foreach(_variable HOMEPAGE CONTRIBUTORS DESCRIPTION ICONURL SCREENSHOTURLS DEPENDS)
  if(NOT EXTENSION_${_variable})
    message(FATAL_ERROR "EXTENSION_${_variable} is not set")
  endif()
endforeach()
