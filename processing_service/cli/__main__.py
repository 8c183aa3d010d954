from processing_service.cli import main

main()
